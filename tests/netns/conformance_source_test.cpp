// SPDX-License-Identifier: Apache-2.0
// ::6 on lo, from which the proxy calls its workload.
#include <doctest/doctest.h>

#include <sys/socket.h>

#include "base/unique_fd.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

TEST_CASE("::6 can be bound to as soon as apply returns") {
  for (int attempt = 0; attempt < 20; ++attempt) {
    Lab::instance().reset();
    apply(plan_of(kDefaultConfig));
    const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr.s6_addr[15] = 6;
    CHECK(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
}

}  // namespace

}  // namespace weir::conformance
