// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "base/test_golden.h"
#include "base/text.h"
#include "cni-plugin/install_command.h"

namespace weir::cni {

namespace {

namespace fs = std::filesystem;

/// testdata/install.txt: "$ words", then what came back, for one node after the other; NODE is the node's root.
constexpr const char* kCommands[] = {
    "install --check",
    "install --once",
    "install --once",
    "install --check -o json",
    "install --check --cni-conf-name=20-other.conflist",
    "install --once --cni-conf-name 10-pods.conflist,20-other.conflist --output=json",
    "install --once --drop-in",
    "install --check --drop-in",
    "install --once --plugin-config=NODE/entry.json",
    "uninstall -o json",
    "uninstall",
    "install --once --check",
    "install --onec",
    "install --cni-net-dri=/x --cni-conf-name=a/b,,.. -o yaml",
    "install --drop-in=yes --cni-bin-dir=",
    "install --plugin-config",
    "install --once --plugin-config=NODE/none.json",
    "install --once --plugin-config=NODE/broken.json",
    "install --once --plugin-config=NODE/list.json",
    "install --once --plugin-config=NODE/other-type.json",
    "install --once --plugin-config=NODE/wrong-fields.json",
    "uninstall --once --drop-in",
    "uninstall now",
};

std::string with(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
  return text;
}

}  // namespace

TEST_CASE("what install and uninstall say and return") {
  char name[] = "/tmp/weir-commands-XXXXXX";
  const fs::path root = ::mkdtemp(name);
  const auto write = [&](const char* file, const char* text) { std::ofstream(root / file) << text; };
  fs::create_directories(root / "net.d");
  fs::create_directories(root / "bin");
  write("net.d/00-broken.conflist", "{");
  write("net.d/10-pods.conflist", R"({"name": "pods", "plugins": [{"type": "bridge"}]})");
  write("entry.json", R"({"enrol": "all", "timeout": "5s"})");
  write("broken.json", "{\n  \"enrol\": ");
  write("list.json", "[]");
  write("other-type.json", R"({"type": "bridge"})");
  write("wrong-fields.json", R"({"enrol": "some", "timeout": "never", "plugin_log_level": "loud"})");

  const std::map<std::string, std::string> environment = {{"CNI_NET_DIR", root / "net.d"}, {"CNI_BIN_DIR", root / "bin"}};
  std::string said;
  InstallerWorld world;
  world.wait = [](Nanoseconds) { return true; };
  world.tell = [&](const std::string& line) { said += "told: " + line + "\n"; };
  std::string now;
  for (const std::string command : kCommands) {
    std::vector<std::string> arguments;
    for (std::string_view word : split(command, ' ')) arguments.push_back(with(std::string(word), "NODE", root));
    said.clear();
    const Printed printed = run_install(arguments, environment, world, "ELF");
    now += fmt::format("$ {}\n{}{}{}exit code {}\n\n", command, said, printed.out, printed.err, printed.exit_code);
  }
  fs::remove_all(root);
  test::check_golden(fs::path(WEIR_TESTDATA) / "install.txt", with(now, root, "NODE"));
}

TEST_CASE("a flag comes before its variable, and an empty variable is none") {
  InstallerWorld world;
  std::vector<std::string> read;
  world.files.names = [&](const std::string& directory) -> Result<std::optional<std::vector<std::string>>> {
    read.push_back(directory);
    return std::nullopt;
  };
  world.files.read = [](const std::string&) -> Result<std::optional<kernel::WholeFile>> { return std::nullopt; };
  run_install({"install", "--check", "--cni-net-dir=/flag"}, {{"CNI_NET_DIR", "/variable"}, {"CNI_CONF_NAME", ""}}, world, "ELF");
  run_install({"install", "--check"}, {{"CNI_NET_DIR", "/variable"}}, world, "ELF");
  run_install({"install", "--check"}, {{"CNI_NET_DIR", ""}}, world, "ELF");
  CHECK(read == std::vector<std::string>{"/flag", "/variable", "/etc/cni/net.d"});
}

}  // namespace weir::cni
