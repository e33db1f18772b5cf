// SPDX-License-Identifier: Apache-2.0
// check --repair under traffic, and beside rules of others.
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <thread>

#include "tests/netns/conformance_lab.h"
#include "tests/netns/conformance_program.h"
#include "tests/netns/truth_losses.h"

namespace weir::conformance {

namespace {

/// One connection after the other by an actor, in a thread of its own; what they were told, and how often.
class Stream {
 public:
  Stream(Actor& actor, std::vector<std::string> calls)
      : thread_([this, &actor, calls = std::move(calls)] {
          while (!ends_)
            for (const std::string& call : calls) {
              ++answers_[actor.ask(call)];
              ++count_;
            }
        }) {}
  ~Stream() { end(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  int count() const { return count_; }
  std::map<std::string, int> end() {
    ends_ = true;
    if (thread_.joinable()) thread_.join();
    return answers_;
  }

 private:
  std::map<std::string, int> answers_;
  std::atomic<int> count_ = 0;
  std::atomic<bool> ends_ = false;
  std::thread thread_;  // the last: it uses the others
};

std::vector<std::string> calls(const char* to, Port port) {
  std::vector<std::string> both;
  for (Family family : kBothFamilies) both.push_back(fmt::format("tcp {} {} - 5000", address(to, family), port));
  return both;
}

/// The packets that open the streams' connections.
std::vector<capture::Packet> stream_packets() {
  std::vector<capture::Packet> packets;
  for (Family family : kBothFamilies)
    for (const char* from : {"pod", "remote"}) {
      capture::matrix::Row row{.from = from, .protocol = "tcp", .uid = 1000, .gid = 1000, .source = "-"};
      row.destination = row.from == "pod" ? "REM" : "POD";
      row.port = row.from == "pod" ? 80 : 8080;
      row.family = family;
      packets.push_back(capture::matrix::packet(row));
    }
  return packets;
}

TEST_SUITE_BEGIN("truth");

TEST_CASE("while repair goes on every new connection is captured, none is direct or refused") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply_with_flags(config_of(kDefaultConfig));
  const Standing standing;
  const std::string before = dump();
  std::vector<std::size_t> harmless;  // what their loss changes is not the streams' connections
  const std::vector<Loss> all = losses();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i].keeps_flags() && all[i].rule.find("-j WEIR_") == std::string::npos &&
        !must_show(standing, all[i], stream_packets()))
      harmless.push_back(i);
  REQUIRE(harmless.size() > 5);
  std::map<std::string, int> out, in;
  {
    Stream outbound(lab.pod(1000, 1000), calls("REM", 80));
    Stream inbound(lab.remote(), calls("POD", 8080));
    for (std::size_t round = 0; round < 500 && (round < 8 || outbound.count() < 300 || inbound.count() < 300); ++round) {
      shell(losses().at(harmless[round % harmless.size()]).command);
      const init::Printed repaired = weir_init({"check", "--repair"});
      CHECK_MESSAGE(repaired.exit_code == 0, repaired.out, repaired.err);
      CHECK(repaired.out.starts_with("mended: "));
    }
    out = outbound.end();
    in = inbound.end();
  }
  CHECK(dump() == before);
  for (Family family : kBothFamilies) {
    CHECK(out.erase(concrete(kOut, family)) == 1);
    CHECK(in.erase(concrete(kIn, family)) == 1);
  }
  for (const auto& [answer, times] : out) FAIL_CHECK(times << " outbound connections: " << answer);
  for (const auto& [answer, times] : in) FAIL_CHECK(times << " inbound connections: " << answer);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weir::conformance
