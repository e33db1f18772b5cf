// SPDX-License-Identifier: Apache-2.0
// A log line costs no allocation in the steady state: allocations are counted here, so this test is a program of its own.
#include <cstdlib>
#include <new>

#include <doctest/doctest.h>

#include "proxy/access_log.h"

namespace {
thread_local int allocations = 0;
}

#ifndef __has_feature
#define __has_feature(what) 0
#endif
#if __has_feature(thread_sanitizer)
// ThreadSanitizer brings an operator new of its own, and tells this function of it.
extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t) { ++allocations; }
#else
void* operator new(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

using namespace weir;
using namespace weir::proxy;

TEST_CASE("a default line, buffered, allocates nothing once the buffers have grown") {
  LogFiles files(nullptr);
  for (std::string format : {std::string(kDefaultTextFormat), std::string(kDefaultJsonFormat)}) {
    bool is_json = format.starts_with('{');
    auto log = AccessLog::compile({{"/dev/null", is_json ? "" : format, is_json ? format : "", false}}, files);
    REQUIRE(log.has_value());
    LogBuffers buffers;
    StreamInfo info;
    RuleRef rule{"VirtualService default/reviews", "rules/reviews.yaml", 12};
    info.rule = &rule;
    info.path = "/a/rather/long/path/that/does/not/fit/into/a/small/string";
    info.code_details = "upstream_reset_before_response_started{remote connection failure}";
    info.upstream_host = info.downstream_local = info.downstream_remote = *SocketAddr::parse("[fd00:1234:5678::9abc]:50000");
    info.flags.add(ResponseFlag::upstream_connect_failure);
    auto write = [&] {
      for (int i = 0; i < 10; ++i) log->log(buffers, {info, nullptr, nullptr, nullptr});
    };
    write();
    buffers.flush();
    int before = allocations;
    write();
    int after = allocations;
    CHECK(after == before);
  }
}

TEST_CASE("clearing a stream's facts keeps the room of its strings") {
  StreamInfo info;
  info.code_details.assign(100, 'x');
  info.code = 200;
  info.clear();
  CHECK(info.code == 0);
  CHECK(info.code_details.empty());
  int before = allocations;
  info.code_details.assign(100, 'y');
  int after = allocations;
  CHECK(after == before);
}
