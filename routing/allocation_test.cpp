// SPDX-License-Identifier: Apache-2.0
// The hot path allocates nothing: operator new is counted here, so this test is a program of its own.
#include <cstdlib>
#include <new>

#include <doctest/doctest.h>

#include "routing/test_support.h"

namespace {
thread_local int allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace weir::routing;
using namespace weir::routing::test;

TEST_CASE("match, pick and normalize_path of an ordinary request allocate nothing") {
  auto t = table(
      "name: '9080' ignore_port_in_host_matching: true virtual_hosts { name: 'h' domains: "
      "'a-long-service-name.some-namespace.svc.cluster.local'"
      " domains: '*.wild.card.example.com' routes { match { prefix: '/nope' } route { cluster: 'n' } }"
      " routes { name: 'r' match { prefix: '/a' headers { name: 'end-user' string_match { exact: 'jason' } }"
      " query_parameters { name: 'q' string_match { prefix: 'v' } } } route { weighted_clusters { clusters { name: 'a' weight { "
      "value: 1 } }"
      " clusters { name: 'b' weight { value: 1 } } } } } }");
  for (const char* authority :
       {"A-Long-Service-Name.some-namespace.svc.cluster.local:9080", "very-long-name-of-a-host.wild.card.example.com"}) {
    Call call{.authority = authority, .path = "/a/.well-known/x?p=1&q=value", .headers = {{"Host", "x"}, {"End-User", "jason"}}};
    Request request = call.request();
    std::string storage;
    storage.reserve(256);
    int before = allocations;
    auto path = normalize_path(request.path, storage);
    RouteTable::Found found = t->match(request, 5);
    bool picked = found.route != nullptr && !pick(std::get<Forward>(found.route->action), 7).cluster.empty();
    int after = allocations;
    CHECK(after == before);
    CHECK(path == request.path);
    CHECK(picked);
  }
}

TEST_CASE("the counter counts") {
  int before = allocations;
  void* memory = ::operator new(1);  // a plain call, which no compiler elides
  int after = allocations;
  ::operator delete(memory);
  CHECK(after == before + 1);
}
