// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "cni-plugin/chain.h"
#include "cni-plugin/installer.h"

namespace weir::cni {

namespace {

namespace fs = std::filesystem;

const std::string kEntry = R"({"type": "weir-cni"})";
const std::string kList = R"({"name": "podnet", "plugins": [{"type": "bridge"}]})";

/// An installer that runs until `script` has no more to say; each of its steps happens while the installer waits.
class Run {
 public:
  Run() {
    char name[] = "/tmp/weir-installer-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directories(root_ / "net.d");
    fs::create_directories(root_ / "bin");
    place = {.net_dir = root_ / "net.d", .bin_dir = root_ / "bin", .conf_names = {}, .drop_in = false};
    world.tell = [this](const std::string& line) { told.push_back(line); };
    world.wait = [this](Nanoseconds time) {
      waits.push_back(time);
      if (at_ == script.size()) return true;
      script[at_++]();
      return false;
    };
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { fs::remove_all(root_); }

  void write(const std::string& text) const { std::ofstream(root_ / "net.d/10-podnet.conflist") << text; }
  bool has_entry() const {
    std::ifstream stream(root_ / "net.d/10-podnet.conflist");
    auto chain = read_chain(std::string(std::istreambuf_iterator<char>(stream), {}));
    return chain && chain->entry;
  }
  bool has_told(std::string_view part) const {
    return std::any_of(told.begin(), told.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
  Result<> operator()() { return keep_installed(world, place, "ELF", kEntry); }

  Place place;
  InstallerWorld world;
  std::vector<std::function<void()>> script;
  std::vector<std::string> told;
  std::vector<Nanoseconds> waits;

 private:
  fs::path root_;
  std::size_t at_ = 0;
};

}  // namespace

TEST_CASE("it waits for the main configuration, puts the entry in, and leaves it when told to end") {
  Run run;
  run.script = {[] {}, [&] { run.write(kList); }, [] {}, [] {}};
  REQUIRE(run());
  CHECK(run.has_entry());
  CHECK(std::count_if(run.told.begin(), run.told.end(),
                      [](const std::string& line) { return line.starts_with("waiting for"); }) == 1);
}

TEST_CASE("whoever writes over the entry once is put right without a word about a fight") {
  Run run;
  run.write(kList);
  run.script = {[] {}, [&] { run.write(kList); }, [] {}, [] {}};
  REQUIRE(run());
  CHECK(run.has_entry());
  CHECK_FALSE(run.has_told("again and again"));
}

TEST_CASE("whoever does it again and again is told of once, and answered more slowly, until there is peace") {
  Run run;
  run.write(kList);
  for (int i = 0; i < 8; ++i) run.script.emplace_back([&] { run.write(kList); });
  for (int i = 0; i < 20; ++i) run.script.emplace_back([] {});
  REQUIRE(run());
  CHECK(run.has_entry());
  CHECK(std::count_if(run.told.begin(), run.told.end(),
                      [](const std::string& line) { return line.find("again and again") != std::string::npos; }) == 1);
  CHECK(std::count(run.waits.begin(), run.waits.end(), Nanoseconds(std::chrono::seconds(5))) > 3);
  CHECK(run.waits.back() == std::chrono::seconds(1));
}

TEST_CASE("a second installer waits until the first has ended, and takes over") {
  Run run;
  run.write(kList);
  auto first = kernel::try_lock_directory(run.place.bin_dir).value();
  REQUIRE(first);
  run.script = {[&] { CHECK_FALSE(run.has_entry()); }, [&] { first.reset(); }, [] {}};
  REQUIRE(run());
  CHECK(run.has_told("another weir-cni install keeps this node"));
  CHECK(run.has_entry());
}

TEST_CASE("uninstall is refused while an installer would put all back") {
  Run run;
  run.write(kList);
  run.script = {[&] {
    CHECK(uninstall_alone(run.world, run.place).error().to_text().find("end it first") != std::string::npos);
    CHECK(run.has_entry());
  }};
  REQUIRE(run());
  CHECK(uninstall_alone(run.world, run.place).value().done.size() == 2);
  CHECK_FALSE(run.has_entry());
}

TEST_CASE("a pass that fails is told once and tried again") {
  Run run;
  run.write(kList);
  int left = 3;
  const NodeFiles real;
  run.world.files.replace = [&](const std::string& path, std::string_view bytes, mode_t mode) -> Result<> {
    if (left-- > 0) return fail_errno(ENOSPC, "writing {}", path);
    return real.replace(path, bytes, mode);
  };
  run.script = {[] {}, [] {}, [] {}, [] {}};
  REQUIRE(run());
  CHECK(run.has_entry());
  CHECK(std::count_if(run.told.begin(), run.told.end(),
                      [](const std::string& line) { return line.find("No space left") != std::string::npos; }) == 1);
}

TEST_CASE("an invalid file is told once, and again if it stays wrong in another way") {
  Run run;
  run.script = {[&] { run.write("{"); }, [] {}, [&] { run.write("[]"); }, [] {}, [&] { run.write(kList); }, [] {}};
  REQUIRE(run());
  CHECK(std::count_if(run.told.begin(), run.told.end(),
                      [](const std::string& line) { return line.starts_with("passed over"); }) == 2);
  CHECK(run.has_entry());
}

}  // namespace weir::cni
