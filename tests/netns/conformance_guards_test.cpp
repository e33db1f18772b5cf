// SPDX-License-Identifier: Apache-2.0
// The loop guards, where connection tracking remembers a redirected connection of the same caller and port.
#include <doctest/doctest.h>

#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

struct Caller {
  const char* title;
  bool is_remote;
  const char* own;       ///< its address
  const char* captured;  ///< what it calls first,
  Port port;             ///< and gets
  const char* by;        ///< this of the proxy
  const char* then;      ///< Then it addresses, from the same port,
  Port capture_port;     ///< this, where the first connection had been brought.
};

constexpr Caller kCallers[] = {
    {"from outside, what was inbound", true, "REM", "POD", 8080, "IN15006", "POD", 15006},
    {"from outside, the other port", true, "REM", "POD", 8080, "IN15006", "POD", 15001},
    {"the workload, what was outbound", false, "POD", "REM", 80, "OUT15001", "LO", 15001},
    {"the workload, by its own address", false, "POD", "REM", 80, "OUT15001", "POD", 15001},
};

TEST_CASE("who takes the port of a redirected connection again hears the loop guard's reset") {
  static unsigned port = 10000;  // below those that the kernel gives to others
  for (const std::string& config : {std::string(kDefaultConfig), std::string("DROP_INVALID=true ") + kDefaultConfig,
                                    std::string("DROP_INVALID=true ") + kTproxyConfig}) {
    Lab::instance().reset();
    apply(plan_of(config));
    for (const Caller& caller : kCallers)
      for (Family family : kBothFamilies) {
        CAPTURE(config);
        CAPTURE(caller.title);
        CAPTURE(to_text(family));
        Actor& actor = caller.is_remote ? Lab::instance().remote() : Lab::instance().pod(1000, 1000);
        auto call = [&, source = fmt::format("at/{}/{}", address(caller.own, family), ++port)](const char* to, Port to_port) {
          return actor.ask(fmt::format("tcp {} {} {} 5000", address(to, family), to_port, source));
        };
        const std::string first = call(caller.captured, caller.port);
        CHECK_MESSAGE(first.starts_with(caller.by), first);
        CHECK(call(caller.then, caller.capture_port) == "RST");
      }
  }
}

}  // namespace

}  // namespace weir::conformance
