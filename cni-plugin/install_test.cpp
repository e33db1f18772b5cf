// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "cni-plugin/chain.h"
#include "cni-plugin/install.h"

namespace weir::cni {

namespace {

namespace fs = std::filesystem;

using Tree = std::map<std::string, std::string>;  ///< path below the node's root → bytes; a directory ends in "/"

const std::string kEntry = R"({"type": "weir-cni", "logLevel": "info"})";
const std::string kList =
    "{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"podnet\",\n  \"plugins\": [\n    {\"type\": \"bridge\"}\n  ]\n}\n";
const std::string kOther = "{\"name\": \"second\", \"plugins\": [{\"type\": \"macvlan\"}]}";
const std::string kSingle = "{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"podnet\",\n  \"type\": \"bridge\"\n}\n";

/// For doctest to show.
std::string shown(const Tree& tree) {
  std::string text;
  for (const auto& [path, bytes] : tree) text += path + ": " + bytes + "\n";
  return text;
}

/// A node's two directories below a temporary one.
class Node {
 public:
  explicit Node(const Tree& files) {
    char name[] = "/tmp/weir-install-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directories(root_ / "net.d");
    fs::create_directories(root_ / "bin");
    for (const auto& [path, bytes] : files) {
      fs::create_directories((root_ / path).parent_path());
      std::ofstream(root_ / path, std::ios::binary) << bytes;
    }
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { fs::remove_all(root_); }

  Place place(bool drop_in = false, std::vector<std::string> names = {}) const {
    return {.net_dir = root_ / "net.d", .bin_dir = root_ / "bin", .conf_names = std::move(names), .drop_in = drop_in};
  }
  Tree tree() const {
    Tree tree;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      const std::string path = fs::relative(entry.path(), root_);
      if (entry.is_directory()) {
        if (path != "net.d" && path != "bin") tree[path + "/"] = "";
        continue;
      }
      std::ifstream stream(entry.path(), std::ios::binary);
      tree[path] = std::string(std::istreambuf_iterator<char>(stream), {});
    }
    return tree;
  }
  fs::path root() const { return root_; }

 private:
  fs::path root_;
};

/// Ends at the change with this number as a kill would: nothing after it happens, and a file that was being written is left
/// beside.
struct Killed {
  int left;
  NodeFiles files() {
    NodeFiles real, killed;
    const auto dies = [this] { return left-- <= 0; };
    killed.replace = [=](const std::string& path, std::string_view bytes, mode_t mode) -> Result<> {
      if (!dies()) return real.replace(path, bytes, mode);
      const fs::path file(path);
      std::ofstream(file.parent_path() / (".weir-" + file.filename().string() + ".new")) << bytes.substr(0, bytes.size() / 2);
      return fail(ErrorCode::io, "killed");
    };
    killed.remove = [=](const std::string& path) -> Result<bool> {
      if (!dies()) return real.remove(path);
      return fail(ErrorCode::io, "killed");
    };
    killed.make_directory = [=](const std::string& path) -> Result<> {
      if (!dies()) return real.make_directory(path);
      return fail(ErrorCode::io, "killed");
    };
    return killed;
  }
};

/// What the runtime would run for a new pod: the plugins of its first valid configuration and of that one's drop-ins.
std::vector<std::string> chain_of(const Tree& tree) {
  for (const auto& [path, bytes] : tree) {
    const std::string extension = fs::path(path).extension();
    if (!path.starts_with("net.d/") || fs::path(path).parent_path() != "net.d" ||
        (extension != ".conf" && extension != ".conflist"))
      continue;
    auto chain = read_chain(bytes);
    if (!chain) continue;
    if (tree.contains("net.d/" + chain->name + "/weir-cni.conf")) chain->types.emplace_back(kPluginType);
    return chain->types;
  }
  return {};
}

/// Every pod gets its interface, and no plugin is asked for that is not there.
void check_runtime_works(const Tree& tree, const std::string& main_plugin) {
  const std::vector<std::string> chain = chain_of(tree);
  REQUIRE_FALSE(chain.empty());
  CHECK(chain.front() == main_plugin);
  if (chain.size() > 1) CHECK(tree.contains("bin/weir-cni"));
}

struct Scenario {
  const char* name;
  Tree before;
  bool drop_in;
};

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"a list", {{"net.d/10-podnet.conflist", kList}}, false},
      {"a list and another network", {{"net.d/10-podnet.conflist", kList}, {"net.d/20-second.conflist", kOther}}, false},
      {"a single plugin", {{"net.d/10-podnet.conf", kSingle}}, false},
      {"an older binary", {{"net.d/10-podnet.conflist", kList}, {"bin/bridge", "B"}}, false},
      {"a drop-in directory", {{"net.d/10-podnet.conflist", kList}}, true},
      {"a drop-in directory with somebody else's file in it",
       {{"net.d/10-podnet.conflist", kList}, {"net.d/podnet/50-tuning.conf", "{\"type\": \"tuning\"}"}},
       true}};
  return all;
}

}  // namespace

TEST_CASE("install puts binary and entry in place, a second one changes nothing, uninstall leaves what was there") {
  for (const Scenario& scenario : scenarios()) {
    CAPTURE(std::string(scenario.name));
    const Node node(scenario.before);
    const Tree before = node.tree();
    const Pass first = install({}, node.place(scenario.drop_in), "ELF", kEntry).value();
    CHECK(first.done.size() == 2);
    const Tree installed = node.tree();
    CHECK(chain_of(installed) == std::vector<std::string>{"bridge", "weir-cni"});
    CHECK(installed.at("bin/weir-cni") == "ELF");
    CHECK((fs::status(node.root() / "bin/weir-cni").permissions() & fs::perms::owner_exec) != fs::perms::none);
    CHECK(install({}, node.place(scenario.drop_in), "ELF", kEntry).value().is_whole());
    CHECK(look({}, node.place(scenario.drop_in), "ELF", kEntry).value().is_whole());
    CHECK(shown(node.tree()) == shown(installed));
    CHECK(uninstall({}, node.place()).value().done.size() == 2);
    CHECK(shown(node.tree()) == shown(before));
    CHECK(uninstall({}, node.place()).value().is_whole());
  }
}

TEST_CASE("killed at any step of install, the runtime works, and both the next install and an uninstall heal") {
  for (const Scenario& scenario : scenarios()) {
    const Node reference(scenario.before);
    REQUIRE(install({}, reference.place(scenario.drop_in), "ELF", kEntry));
    bool ended = false;
    for (int step = 0; !ended; ++step) {
      for (const bool takes_off : {false, true}) {
        CAPTURE(std::string(scenario.name));
        CAPTURE(step);
        CAPTURE(takes_off);
        const Node node(scenario.before);
        Killed killed{step};
        ended = install(killed.files(), node.place(scenario.drop_in), "ELF", kEntry).has_value();
        check_runtime_works(node.tree(), "bridge");
        if (takes_off) {
          REQUIRE(uninstall({}, node.place()));
          Tree after = node.tree(), before = scenario.before;
          after.erase("net.d/podnet/");  // an empty directory that was made for the drop-in, or somebody else's
          CHECK(shown(after) == shown(before));
        } else {
          REQUIRE(install({}, node.place(scenario.drop_in), "ELF", kEntry));
          CHECK(shown(node.tree()) == shown(reference.tree()));
        }
      }
      REQUIRE(step < 20);
    }
  }
}

TEST_CASE("killed at any step of uninstall, the runtime works, and both the next uninstall and an install heal") {
  for (const Scenario& scenario : scenarios()) {
    const Node reference(scenario.before);
    REQUIRE(install({}, reference.place(scenario.drop_in), "ELF", kEntry));
    bool ended = false;
    for (int step = 0; !ended; ++step) {
      for (const bool puts_back : {false, true}) {
        CAPTURE(std::string(scenario.name));
        CAPTURE(step);
        CAPTURE(puts_back);
        const Node node(scenario.before);
        const Tree before = node.tree();
        REQUIRE(install({}, node.place(scenario.drop_in), "ELF", kEntry));
        Killed killed{step};
        ended = uninstall(killed.files(), node.place()).has_value();
        check_runtime_works(node.tree(), "bridge");
        if (puts_back) {
          REQUIRE(install({}, node.place(scenario.drop_in), "ELF", kEntry));
          CHECK(shown(node.tree()) == shown(reference.tree()));
        } else {
          REQUIRE(uninstall({}, node.place()));
          CHECK(shown(node.tree()) == shown(before));
        }
      }
      REQUIRE(step < 20);
    }
  }
}

TEST_CASE("what others write over ours is put right, and only that") {
  const Node node(Tree{{"net.d/10-podnet.conflist", kList}});
  REQUIRE(install({}, node.place(), "ELF", kEntry));
  const std::string theirs = R"({"name": "podnet", "plugins": [{"type": "calico"}, {"type": "portmap"}]})";
  std::ofstream(node.root() / "net.d/10-podnet.conflist") << theirs;
  CHECK(look({}, node.place(), "ELF", kEntry).value().done.size() == 1);
  CHECK(install({}, node.place(), "ELF", kEntry).value().done.size() == 1);
  CHECK(chain_of(node.tree()) == std::vector<std::string>{"calico", "portmap", "weir-cni"});
  std::ofstream(node.root() / "bin/weir-cni") << "older";
  CHECK(install({}, node.place(), "ELF", kEntry).value().done ==
        std::vector<std::string>{"replaced " + (node.root() / "bin/weir-cni").string()});
  fs::remove(node.root() / "bin/weir-cni");
  CHECK(install({}, node.place(), "ELF", kEntry).value().done.size() == 1);
}

TEST_CASE("an entry moves between list and drop-in directory without standing in both") {
  const Node node(Tree{{"net.d/10-podnet.conflist", kList}});
  REQUIRE(install({}, node.place(false), "ELF", kEntry));
  REQUIRE(install({}, node.place(true), "ELF", kEntry));
  CHECK(node.tree().at("net.d/10-podnet.conflist") == kList);
  CHECK(chain_of(node.tree()) == std::vector<std::string>{"bridge", "weir-cni"});
  REQUIRE(install({}, node.place(false), "ELF", kEntry));
  CHECK(chain_of(node.tree()) == std::vector<std::string>{"bridge", "weir-cni"});
  CHECK_FALSE(node.tree().contains("net.d/podnet/"));
}

TEST_CASE("files that the runtime passes over are left and told; without any other it waits") {
  const Node node({{"net.d/00-broken.conflist", "{"}, {"net.d/05-readme.txt", "x"}});
  const Pass waiting = install({}, node.place(), "ELF", kEntry).value();
  CHECK(waiting.waiting == "a network configuration in " + (node.root() / "net.d").string());
  REQUIRE(waiting.notes.size() == 1);
  CHECK(waiting.notes[0].find("00-broken.conflist") != std::string::npos);
  std::ofstream(node.root() / "net.d/10-podnet.conflist") << kList;
  CHECK(install({}, node.place(), "ELF", kEntry).value().waiting.empty());
  CHECK(node.tree().at("net.d/00-broken.conflist") == "{");
}

TEST_CASE("files can be named: each of them gets the entry, a missing one is waited for, one that became a list is found") {
  const Node node({{"net.d/10-podnet.conf", kSingle}, {"net.d/20-second.conflist", kOther}});
  const Place place = node.place(false, {"10-podnet.conf", "20-second.conflist", "30-third.conflist"});
  CHECK(install({}, place, "ELF", kEntry).value().waiting == (node.root() / "net.d/30-third.conflist").string());
  const Tree tree = node.tree();
  CHECK(read_chain(tree.at("net.d/10-podnet.conflist")).value().entry);
  CHECK(read_chain(tree.at("net.d/20-second.conflist")).value().entry);
  CHECK_FALSE(tree.contains("net.d/10-podnet.conf"));
  CHECK(install({}, place, "ELF", kEntry).value().done.empty());
}

TEST_CASE("a list of the same stem that somebody else wrote is not overwritten") {
  const Node node({{"net.d/10-podnet.conf", kSingle}, {"net.d/10-podnet.conflist", kList}});
  const auto refused = install({}, node.place(), "ELF", kEntry);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().to_text().find("which somebody else has written") != std::string::npos);
  CHECK(node.tree().at("net.d/10-podnet.conflist") == kList);
}

TEST_CASE("a drop-in that the runtime would not read is refused") {
  const Node single(Tree{{"net.d/10-podnet.conf", kSingle}});
  CHECK(install({}, single.place(true), "ELF", kEntry).error().to_text().find("is one plugin and no list") != std::string::npos);
  const Node inlined(Tree{{"net.d/10.conflist", R"({"name":"n","loadOnlyInlinedPlugins":true,"plugins":[{"type":"ptp"}]})"}});
  CHECK(install({}, inlined.place(true), "ELF", kEntry).error().to_text().find("loadOnlyInlinedPlugins") != std::string::npos);
}

}  // namespace weir::cni
