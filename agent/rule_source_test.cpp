// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sys/stat.h>

#include "agent/rule_source.h"

using namespace weir;
using namespace weir::agent;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/weir-rules-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return path + "/" + name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(file(name)) << text; }
  /// As careful editors do: a hidden file, then a rename.
  void replace(const std::string& name, const std::string& text) const {
    write("." + name + ".tmp", text);
    fs::rename(file("." + name + ".tmp"), file(name));
  }
  std::string path;
};

/// Runs the watch while `act` happens; returns how many changes were told until `wanted` came or the limit passed.
int changes_after(const Folder& folder, std::vector<std::string> files, int wanted, const std::function<void()>& act,
                  io::Duration limit = 5s) {
  io::Executor executor;
  int changes = 0;
  auto watch = RuleWatch::create(executor, folder.path, std::move(files), 2ms, [&] {
    if (++changes == wanted) executor.stop();
  });
  REQUIRE(watch);
  io::Timer end(executor, [&] { executor.stop(); });
  end.expires_after(limit);
  executor.post(act);
  executor.run();
  return changes;
}

}  // namespace

TEST_CASE("what counts as a rule file") {
  for (std::string_view name : {"a.yaml", "b.yml", "c.json", "with space.yaml"})
    CHECK_MESSAGE(is_rule_file(name), std::string(name));
  for (std::string_view name : {"", ".a.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", "a.txt", "a.yaml.bak", "..data", "yaml"})
    CHECK_FALSE_MESSAGE(is_rule_file(name), std::string(name));
}

TEST_CASE("a directory gives its rule files, through symbolic links, and says which it cannot read") {
  Folder folder;
  folder.write("b.yaml", "b: 1\n");
  folder.write("notes.txt", "no");
  folder.write("real", "a: 1\n");
  fs::create_symlink("real", folder.file("a.yaml"));
  fs::create_symlink("nowhere", folder.file("dangling.yaml"));
  fs::create_directory(folder.file("folder.yaml"));
  ::mkfifo(folder.file("fifo.yaml").c_str(), 0600);
  auto texts = read_directory(folder.path);
  REQUIRE(texts);
  REQUIRE(texts->size() == 5);
  CHECK(*texts->at(folder.file("a.yaml")) == "a: 1\n");
  CHECK(*texts->at(folder.file("b.yaml")) == "b: 1\n");
  CHECK(texts->at(folder.file("dangling.yaml")).error().to_text() ==
        "cannot read " + folder.file("dangling.yaml") + ": No such file or directory");
  CHECK(texts->at(folder.file("folder.yaml")).error().to_text() == folder.file("folder.yaml") + " is not a regular file");
  CHECK(texts->at(folder.file("fifo.yaml")).error().to_text() == folder.file("fifo.yaml") + " is not a regular file");
}

TEST_CASE("a missing directory is an environment error that names the flag") {
  auto texts = read_directory("/nowhere/rules");
  REQUIRE_FALSE(texts);
  CHECK(texts.error().to_text() ==
        "cannot read the rules directory /nowhere/rules: No such file or directory; --rules must name an existing directory");
  CHECK(exit_code(texts.error()) == 2);
}

TEST_CASE("writing, replacing and deleting a rule are told; editors' files are not") {
  Folder folder;
  folder.write("a.yaml", "a: 1\n");
  CHECK(changes_after(folder, {}, 1, [&] { folder.write("a.yaml", "a: 2\n"); }) == 1);
  CHECK(changes_after(folder, {}, 1, [&] { folder.replace("a.yaml", "a: 3\n"); }) == 1);
  CHECK(changes_after(folder, {}, 1, [&] { fs::remove(folder.file("a.yaml")); }) == 1);
  CHECK(changes_after(
            folder, {}, 1, [&] { folder.write(".a.yaml.swp", "x"); }, 100ms) == 0);
}

TEST_CASE("a burst is one change") {
  Folder folder;
  CHECK(changes_after(
            folder, {}, 2,
            [&] {
              for (int i = 0; i < 50; ++i) folder.replace("r" + std::to_string(i) + ".yaml", "a: 1\n");
            },
            200ms) == 1);
}

TEST_CASE("a file that is being written is not told until it is closed, and named as unfinished meanwhile") {
  Folder folder;
  folder.write("old.yaml", "a: 1\n");
  io::Executor executor;
  int changes = 0;
  auto watch = RuleWatch::create(executor, folder.path, {}, 2ms, [&] { ++changes; });
  REQUIRE(watch);
  std::ofstream old_file(folder.file("old.yaml"));
  std::ofstream new_file(folder.file("new.yaml"));
  old_file << "a:" << std::flush;
  new_file << "a:" << std::flush;
  CHECK_FALSE((*watch)->catch_up());
  CHECK((*watch)->unfinished() == std::set<std::string>{"new.yaml", "old.yaml"});
  new_file.close();
  CHECK((*watch)->catch_up());
  CHECK((*watch)->unfinished() == std::set<std::string>{"old.yaml"});
  old_file.close();
  CHECK((*watch)->catch_up());
  CHECK((*watch)->unfinished().empty());
}

TEST_CASE("a file that is never closed is told after a while") {
  Folder folder;
  std::ofstream file(folder.file("slow.yaml"));
  CHECK(changes_after(folder, {}, 1, [&] { file << "a: 1\n" << std::flush; }) == 1);
}

TEST_CASE("a link is told though nobody writes it") {
  Folder folder;
  folder.write("real", "a: 1\n");
  CHECK(changes_after(
            folder, {}, 1, [&] { fs::create_symlink("real", folder.file("a.yaml")); }, 500ms) == 1);
  CHECK(changes_after(
            folder, {}, 1, [&] { fs::create_hard_link(folder.file("real"), folder.file("b.yaml")); }, 500ms) == 1);
}

TEST_CASE("a mounted ConfigMap changes by renaming its hidden link") {
  Folder folder;
  fs::create_directory(folder.file("..1"));
  fs::create_directory(folder.file("..2"));
  fs::create_symlink("..1", folder.file("..data"));
  CHECK(changes_after(folder, {}, 1, [&] {
          fs::create_symlink("..2", folder.file("..data_tmp"));
          fs::rename(folder.file("..data_tmp"), folder.file("..data"));
        }) == 1);
}

TEST_CASE("a single file elsewhere is watched too, its neighbours are not") {
  Folder folder, other;
  other.write("mesh.yaml", "x: 1\n");
  CHECK(changes_after(folder, {other.file("mesh.yaml")}, 1, [&] { other.replace("mesh.yaml", "x: 2\n"); }) == 1);
  CHECK(changes_after(
            folder, {other.file("mesh.yaml")}, 1, [&] { other.write("other.yaml", "x: 2\n"); }, 100ms) == 0);
}

TEST_CASE("a directory that went away is told, and again when it is back") {
  Folder folder;
  CHECK(changes_after(folder, {}, 2, [&] {
          fs::remove_all(folder.path);
          fs::create_directory(folder.path);
        }) == 2);
}
