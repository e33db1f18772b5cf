// SPDX-License-Identifier: Apache-2.0
// Replaces operator new for its program, hence a program of its own.
#include <doctest/doctest.h>

#include <cstdlib>
#include <new>

#include "http/h1.h"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* bytes = std::malloc(size)) return bytes;
  throw std::bad_alloc();
}
void operator delete(void* bytes) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t) noexcept { std::free(bytes); }

using namespace weir::http;

TEST_CASE("a connection's second and later messages allocate nothing") {
  const std::string request =
      "POST http://reviews:9080?q=an+absolute+form+needs+the+arena HTTP/1.1\r\nHost: reviews:9080\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
      "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = "5\r\nhello\r\n0\r\n\r\n";
  const std::string response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: x\r\n\r\n";
  RequestHead request_head;
  ResponseHead response_head;
  std::string out;
  std::size_t good = 0;
  auto round = [&] {
    out.clear();
    std::size_t resume = 0;
    (void)parse_request_head(std::string_view(request).substr(0, 100), {}, resume, request_head);
    if (parse_request_head(request, {}, resume, request_head).state != ParseResult::State::done) return;
    remove_hop_by_hop(request_head.headers, false);
    request_head.headers.set("x-envoy-attempt-count", "1");
    write_request_head(out, request_head.method, request_head.path, request_head.version, request_head.headers);
    BodyReader reader(request_head.framing, 0, {});
    if (!reader.next(body).done) return;
    write_chunk_size(out, 5);
    resume = 0;
    if (parse_response_head(response, "POST", {}, resume, response_head).state != ParseResult::State::done) return;
    remove_hop_by_hop(response_head.headers, false);
    write_response_head(out, response_head.status, response_head.reason, response_head.version, response_head.headers);
    ++good;
  };
  round();
  CHECK(allocations > 0);
  std::size_t before = allocations;
  for (int i = 0; i < 100; ++i) round();
  CHECK(allocations - before == 0);
  CHECK(good == 101);
}
