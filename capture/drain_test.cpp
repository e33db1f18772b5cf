// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "capture/drain.h"

namespace weir::capture {
namespace {

TEST_CASE("a drain is read from a comment as it was written, whatever stands around it") {
  for (const Drain& drain : {Drain{"1a2b3c4d", std::chrono::seconds(4711), {15001, 15006}},
                             Drain{"x", std::chrono::seconds(0), {}}, Drain{"f00", std::chrono::seconds(86400), {1, 53, 65535}}})
    for (const char* around : {"{}", "owner: weir, {}", "-m comment --comment \"owner: weir, {}\" -j RETURN"}) {
      const std::string text = fmt::format(fmt::runtime(around), drain_mark(drain));
      CAPTURE(text);
      CHECK(find_drain(text) == drain);
    }
}

TEST_CASE("its time is kept in whole seconds, never earlier") {
  CHECK(find_drain(drain_mark({"a", std::chrono::milliseconds(1001), {}}))->until == std::chrono::seconds(2));
}

TEST_CASE("other comments are no drain") {
  for (const char* text : {"", "owner: weir", "draining", "draining  until 5 s, ports", "draining a until x s, ports 1",
                           "draining a until 5, ports 1", "draining a until 5 s, ports 65536"})
    CHECK(!find_drain(text));
}

}  // namespace
}  // namespace weir::capture
