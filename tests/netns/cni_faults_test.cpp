// SPDX-License-Identifier: Apache-2.0
// weir-cni's ADD and DEL, stopped at every step: each call to the kernel and each change of a file fails once, before and after
// it was done; and the plugin is killed there. A failure leaves the sandbox and the files as they were; what a kill leaves, the
// runtime's DEL or another ADD heals. Seen by nft, ip and the file tree. In network namespaces of its own:
//
//    sandbox   lo, eth0 10.1.0.2 fd01::2 (a veth pair with both ends here)
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <regex>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test_golden.h"
#include "cni-plugin/node.h"
#include "cni-plugin/verbs.h"
#include "iptables-rules/nft_redirector.h"
#include "kernel/child.h"
#include "kernel/netlink.h"

namespace weir::cni {
namespace {

namespace fs = std::filesystem;

const fs::path kState = fs::temp_directory_path() / fmt::format("weir-cni-faults-{}", ::getpid());
std::string sandbox;  ///< path of the sandbox's namespace

std::string shell(const std::string& script) {
  auto output = kernel::run({"nsenter", "--net=" + sandbox, "sh", "-ec", script});
  if (!output) return output.error().to_text();
  CHECK_MESSAGE(output->exit_code == 0, script, ": ", output->err);
  return output->out;
}

/// All that weir could have changed, as other tools see it. Handles are the kernel's numbering, and the gate's time runs.
std::string state() {
  static const std::regex kChanging(R"re("(handle|index|expires)": [0-9]+)re");
  std::string text = std::regex_replace(shell("nft -j list ruleset; ip -j addr; ip -j route show table all; ip -j -6 route show "
                                              "table all; ip -j rule; ip -j -6 rule"),
                                        kChanging, "$1");
  if (fs::exists(kState))
    for (const auto& entry : fs::directory_iterator(kState))
      text += entry.path().filename().string() + ": " + test::read_text(entry.path());
  return text;
}

/// What happens at which step.
struct Fault {
  std::size_t step = 0;     ///< this one, from 1; 0: none
  bool afterwards = false;  ///< it is done all the same, only its answer is lost
  bool kills = false;
  std::size_t steps = 0;  ///< how many there were
  std::string name;       ///< of the one that failed

  /// True if this step fails. `done` does it.
  bool stops(const char* what, const std::function<void()>& done) {
    if (++steps != step) return false;
    name = what;
    if (afterwards) done();
    if (kills) ::kill(::getpid(), SIGKILL);
    return true;
  }
};
Result<> trouble() { return pass(Error(ErrorCode::io, "the test makes it fail", ENOBUFS)); }

class FaultyNetlink : public kernel::Netlink {
 public:
  explicit FaultyNetlink(Fault& fault) : fault_(fault) {}
  Result<> act(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    if (fault_.stops("an address or a route", [&] { (void)real_->act(bus, request); })) return trouble();
    return real_->act(bus, request);
  }
  Result<std::vector<kernel::NetlinkMessage>> ask(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    if (fault_.stops("a question", [] {})) return pass(trouble().error());
    return real_->ask(bus, request);
  }
  Result<std::optional<kernel::BatchRefusal>> transact(const std::vector<kernel::NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t> generation) override {
    if (fault_.stops("a transaction", [&] { (void)real_->transact(batch, generation); })) return pass(trouble().error());
    return real_->transact(batch, generation);
  }

 private:
  Fault& fault_;
  std::unique_ptr<kernel::Netlink> real_ = kernel::open_netlink();
};

init::Machine faulty_machine(Fault& fault) {
  init::Machine machine;
  machine.make = [&fault](std::string_view, const init::BackendOptions& options) -> std::unique_ptr<capture::Redirector> {
    return nft::make_nft_redirector(std::make_unique<FaultyNetlink>(fault), {.force = options.force});
  };
  return machine;
}

class FaultyNode : public Node {
 public:
  explicit FaultyNode(Fault& fault) : fault_(fault), real_(this_node(faulty_machine(fault))) {}
  Result<std::unique_ptr<Sandbox>> open(const std::string& netns) override {
    if (fault_.stops("opening the namespace", [] {})) return fail_errno(EMFILE, "opening the namespace");
    return real_->open(netns);
  }
  Result<> probe(const std::string& backend) override { return real_->probe(backend); }
  Result<std::optional<std::string>> load(const std::string& directory, const std::string& file) override {
    if (fault_.stops("reading a record", [] {})) return pass(trouble().error());
    return real_->load(directory, file);
  }
  Result<> save(const std::string& directory, const std::string& file, const std::string& text) override {
    if (fault_.stops("writing a record", [&] { (void)real_->save(directory, file, text); })) return trouble();
    return real_->save(directory, file, text);
  }
  Result<bool> erase(const std::string& directory, const std::string& file) override {
    if (fault_.stops("removing a record", [&] { (void)real_->erase(directory, file); })) return pass(trouble().error());
    return real_->erase(directory, file);
  }
  Result<std::vector<std::string>> files(const std::string& directory) override {
    if (fault_.stops("listing records", [] {})) return pass(trouble().error());
    return real_->files(directory);
  }
  Result<std::optional<std::string>> read(const std::string& path) override { return real_->read(path); }

 private:
  Fault& fault_;
  std::unique_ptr<Node> real_;
};

Answer call(Node& node, const char* verb, std::string_view mode = "REDIRECT") {
  return serve({{"CNI_COMMAND", verb}, {"CNI_CONTAINERID", "c1"}, {"CNI_NETNS", sandbox}, {"CNI_IFNAME", "eth0"}},
               fmt::format(R"({{"cniVersion":"1.0.0","name":"net","enrol":"all","state_dir":"{}","log":"none","prevResult":{{}},)"
                           R"("flags":{{"start-gate":"hold:3000s","istio-inbound-interception-mode":"{}"}}}})",
                           kState.string(), mode),
               node, "t");
}
Answer call_well(const char* verb, std::string_view mode = "REDIRECT") { return call(*this_node(), verb, mode); }

struct Start {
  const char* name;
  std::function<void()> make;
};
const std::vector<Start>& starts() {
  static const std::vector<Start> all = {{"a fresh sandbox", [] {}},
                                         {"one that is enrolled", [] { REQUIRE(call_well("ADD").exit_code == 0); }}};
  return all;
}
void begin(const Start& start) {
  REQUIRE(call_well("DEL").exit_code == 0);
  fs::remove_all(kState);
  start.make();
}

/// Runs `work` in a child that is killed at its step; false: it came to its end.
bool is_killed(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST_CASE("whichever step of ADD fails, the sandbox and the records are as they were; the next ADD is well") {
  std::size_t failures = 0;
  constexpr std::string_view kMode = "TPROXY";  // has routes besides rules
  for (const Start& start : starts()) {
    begin(start);
    const std::string before = state();
    for (const bool afterwards : {false, true}) {
      for (std::size_t step = 1;; ++step) {
        begin(start);
        Fault fault{.step = step, .afterwards = afterwards, .kills = false, .steps = 0, .name = {}};
        FaultyNode node(fault);
        const Answer answer = call(node, "ADD", kMode);
        if (fault.steps < step) break;
        const std::string context =
            std::string(start.name) + (afterwards ? ", after " : ", at ") + fault.name + ": " + answer.out;
        CAPTURE(context);
        if (answer.exit_code == 0) continue;  // a question whose answer nobody needs
        ++failures;
        // A record that could be written, but nobody was told so, waits for DEL; all else is as before.
        if (!(afterwards && fault.name == "writing a record")) CHECK(state() == before);
        CHECK(call_well("ADD", kMode).exit_code == 0);
        CHECK(call_well("CHECK", kMode).exit_code == 0);
      }
    }
  }
  CHECK(failures > 20);
}

TEST_CASE("wherever ADD is killed, DEL leaves nothing, and another ADD enrols") {
  begin(starts()[0]);
  const std::string clean = state();
  REQUIRE(call_well("ADD", "TPROXY").exit_code == 0);
  const std::string enrolled = state();
  std::size_t kills = 0;
  for (const bool afterwards : {false, true}) {
    for (std::size_t step = 1;; ++step) {
      bool killed = false;
      for (const char* healer : {"DEL", "ADD"}) {
        begin(starts()[0]);
        killed = is_killed([&] {
          Fault fault{.step = step, .afterwards = afterwards, .kills = true, .steps = 0, .name = {}};
          FaultyNode node(fault);
          (void)call(node, "ADD", "TPROXY");
        });
        CAPTURE(step);
        CAPTURE(afterwards);
        CAPTURE(healer);
        CHECK(call_well(healer, "TPROXY").exit_code == 0);
        if (std::string_view(healer) == "ADD")
          CHECK(state() == enrolled);
        else
          CHECK(state() == clean);
      }
      if (!killed) break;
      ++kills;
    }
  }
  CHECK(kills > 20);
}

TEST_CASE("wherever DEL fails or is killed, another DEL leaves nothing") {
  begin(starts()[0]);
  const std::string clean = state();
  std::size_t stopped = 0;
  for (const bool kills : {false, true}) {
    for (const bool afterwards : {false, true}) {
      for (std::size_t step = 1;; ++step) {
        begin(starts()[1]);
        std::size_t steps = 0;
        const auto work = [&] {
          Fault fault{.step = step, .afterwards = afterwards, .kills = kills, .steps = 0, .name = {}};
          FaultyNode node(fault);
          (void)call(node, "DEL");
          steps = fault.steps;
        };
        bool goes_on = false;
        if (kills) {
          goes_on = is_killed(work);
        } else {
          work();
          goes_on = steps >= step;
        }
        CAPTURE(step);
        CAPTURE(kills);
        CHECK(call_well("DEL").exit_code == 0);
        CHECK(state() == clean);
        if (!goes_on) break;
        ++stopped;
      }
    }
  }
  CHECK(stopped > 10);
}

TEST_CASE("what is left of a record that was being written when the plugin was killed, GC removes") {
  begin(starts()[1]);
  fs::rename(kState / "c1,eth0,net.json", kState / "c1,eth0,net.json.new");
  const Answer answer =
      serve({{"CNI_COMMAND", "GC"}, {"CNI_PATH", "/"}},
            fmt::format(R"({{"cniVersion":"1.1.0","name":"net","state_dir":"{}","log":"none","cni.dev/valid-attachments":[]}})",
                        kState.string()),
            *this_node(), "t");
  CHECK(answer.exit_code == 0);
  CHECK(fs::is_empty(kState));
  CHECK(call_well("DEL").exit_code == 0);
}

int skip(const std::string& why) {
  const bool is_required = std::getenv("WEIR_REQUIRE_NETNS") != nullptr;
  std::printf("%s: %s\n", is_required ? "cannot run, and WEIR_REQUIRE_NETNS forbids to skip" : "skipped", why.c_str());
  return is_required ? 1 : 77;
}

int run(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  if (::getuid() != 0) return skip("needs root, to make network namespaces");
  // The sandbox is this process's first new namespace, held by its descriptor; the plugin stands in another.
  if (::unshare(CLONE_NEWNET) != 0) return skip("unshare: " + errno_text(errno));
  auto made =
      kernel::run({"sh", "-ec",
                   "ip link set lo up; ip link add eth0 type veth peer name eth1; ip link set eth0 addrgenmode none; ip link set "
                   "eth1 addrgenmode none; ip addr add 10.1.0.2/24 dev eth0; ip addr add fd01::2/64 dev eth0 nodad; ip link set "
                   "eth0 up; ip link set eth1 up"});
  if (!made || made->exit_code != 0) return skip(made ? made->err : made.error().to_text());
  std::FILE* held = std::fopen("/proc/self/ns/net", "r");
  if (held == nullptr || ::unshare(CLONE_NEWNET) != 0) return skip("unshare: " + errno_text(errno));
  sandbox = fmt::format("/proc/{}/fd/{}", ::getpid(), ::fileno(held));
  const int result = doctest::Context(argc, argv).run();
  fs::remove_all(kState);
  std::fclose(held);
  return result;
}

}  // namespace
}  // namespace weir::cni

int main(int argc, char** argv) { return weir::cni::run(argc, argv); }
