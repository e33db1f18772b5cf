// SPDX-License-Identifier: Apache-2.0
// What a program leaves on the host: files of its state directory, datagrams to a log's socket.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/unique_fd.h"
#include "kernel/datagram.h"
#include "kernel/state_dir.h"

namespace weir::kernel {
namespace {

struct Directory {
  std::string path = [] {
    std::string made = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    return made;
  }();
  ~Directory() { std::filesystem::remove_all(path); }
};

TEST_CASE("a state directory lists its files, and removing one that is not there is no error") {
  const Directory base;
  auto dir = StateDir::open(base.path + "/state");
  REQUIRE(dir);
  REQUIRE(dir->save("b", "2"));
  REQUIRE(dir->save("a", "1"));
  CHECK(*dir->names() == std::vector<std::string>{"a", "b"});
  CHECK(*dir->remove("a") == true);
  CHECK(*dir->remove("a") == false);
  CHECK(*dir->names() == std::vector<std::string>{"b"});
}

TEST_CASE("a datagram comes to the socket whole; without a reader the path is named") {
  const Directory base;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (base.path + "/log").c_str());
  CHECK(send_datagram(address.sun_path, "x").error().to_text().find(base.path + "/log") != std::string::npos);
  UniqueFd reader(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(reader.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(send_datagram(address.sun_path, "one line\nanother"));
  char buffer[64];
  const auto got = ::recv(reader.get(), buffer, sizeof buffer, 0);
  CHECK(std::string_view(buffer, static_cast<std::size_t>(got)) == "one line\nanother");
  CHECK(!send_datagram("/" + std::string(200, 'x'), "y"));
}

}  // namespace
}  // namespace weir::kernel
