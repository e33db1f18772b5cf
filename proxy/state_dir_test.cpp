// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include "base/test_golden.h"
#include "proxy/state_dir.h"
#include "xds/proto/cluster.pb.h"

using namespace weir;
using namespace weir::proxy;

namespace {

struct Temporary {
  Temporary() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-state-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Temporary() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

xds::StoredSet some_set() {
  envoy::config::cluster::v3::Cluster cluster;
  cluster.set_name("one");
  xds::StoredSet set;
  set.node_id = "node";
  set.types[0].push_back({xds::make_resource(xds::ResourceType::cluster, cluster), "v7"});
  return set;
}

}  // namespace

TEST_CASE("what was saved is loaded, by the same node only") {
  const Temporary temporary;
  auto dir = StateDir::open((temporary.path / "state").string());
  REQUIRE(dir);
  CHECK(!dir->load("node")->has_value());
  REQUIRE(dir->save(some_set()));
  auto loaded = dir->load("node");
  REQUIRE(loaded);
  REQUIRE(loaded->has_value());
  REQUIRE((*loaded)->types[0].size() == 1);
  CHECK((*loaded)->types[0][0].resource->name == "one");
  CHECK((*loaded)->types[0][0].version == "v7");
  auto other = dir->load("other");
  REQUIRE(!other);
  CHECK(other.error().to_text().find("is of node node, this is other") != std::string::npos);
}

TEST_CASE("a damaged file is refused, whichever byte is wrong and wherever it ends") {
  const Temporary temporary;
  auto dir = StateDir::open(temporary.path.string());
  REQUIRE(dir);
  REQUIRE(dir->save(some_set()));
  const std::string whole = test::read_text(dir->file());
  REQUIRE(!whole.empty());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    std::ofstream(dir->file(), std::ios::binary) << damaged;
    CHECK(!dir->load("node"));
    std::ofstream(dir->file(), std::ios::binary) << whole.substr(0, i);
    CHECK(!dir->load("node"));
  }
}

TEST_CASE("a directory that others may enter is refused, with the command that mends it") {
  const Temporary temporary;
  ::chmod(temporary.path.c_str(), 0755);
  auto dir = StateDir::open(temporary.path.string());
  REQUIRE(!dir);
  CHECK(dir.error().to_text().find("chmod 0700") != std::string::npos);
}

TEST_CASE("the file is the owner's alone, and a failed save leaves the old one") {
  const Temporary temporary;
  auto dir = StateDir::open(temporary.path.string());
  REQUIRE(dir);
  REQUIRE(dir->save(some_set()));
  struct stat info {};
  REQUIRE(::stat(dir->file().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  std::filesystem::create_directory(dir->file() + ".new");  // the temporary file cannot be made
  CHECK(!dir->save(some_set()));
  CHECK(dir->load("node")->has_value());
}
