// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "http/h1_testing.h"

using namespace weir::http;
using namespace weir::http::testing;
using std::string_literals::operator""s;  // NOLINT(misc-unused-using-decls): it is used; literals are not counted

namespace {

struct Row {
  std::string head;
  std::string outcome;
  std::string method = "GET";
};

void check(const std::vector<Row>& rows, const Limits& limits = {}) {
  for (const Row& row : rows) {
    CAPTURE(row.head);
    CHECK(same_for_every_cut(row.head.size(), [&](const auto& cuts) {
            return response_in_pieces(row.head, row.method, cuts, limits);
          }) == row.outcome);
  }
}

std::string with(const std::string& status, const std::string& fields) { return "HTTP/1.1 " + status + "\r\n" + fields + "\r\n"; }

}  // namespace

TEST_CASE("the end of a response's body is known by RFC 9112, 6.3") {
  check({
      {with("200 OK", "Content-Length: 5\r\n"), "HTTP/1.1 200 OK | length 5 | keep"},
      {with("200 OK", "Content-Length: 0\r\n"), "HTTP/1.1 200 OK | length 0 | keep"},
      {with("200 OK", "Transfer-Encoding: chunked\r\n"), "HTTP/1.1 200 OK | chunked | keep"},
      {with("200 OK", ""), "HTTP/1.1 200 OK | until-close | close"},
      {with("200 OK", "Connection: keep-alive\r\n"), "HTTP/1.1 200 OK | until-close | close"},
      {with("200 OK", "Connection: close\r\nContent-Length: 5\r\n"), "HTTP/1.1 200 OK | length 5 | close"},
      {with("200 OK", "Connection: keep-alive;\r\nContent-Length: 5\r\n"), "HTTP/1.1 200 OK | length 5 | close"},
      {with("200 OK", "Content-Length: 5\r\n"), "HTTP/1.1 200 OK | none | keep", "HEAD"},
      {with("200 OK", "Transfer-Encoding: chunked\r\n"), "HTTP/1.1 200 OK | none | keep", "HEAD"},
      {with("200 OK", ""), "HTTP/1.1 200 OK | none | keep", "HEAD"},
      {with("200 OK", "Content-Length: 5\r\n"), "HTTP/1.1 200 OK | length 5 | keep", "head"},
      {with("204 No Content", ""), "HTTP/1.1 204 No Content | none | keep"},
      {with("204 No Content", "Content-Length: 0\r\n"), "HTTP/1.1 204 No Content | none | keep"},
      {with("204 No Content", "Content-Length: 5\r\n"), "HTTP/1.1 204 No Content | none | close"},
      {with("204 No Content", "Transfer-Encoding: chunked\r\n"), "HTTP/1.1 204 No Content | none | close"},
      {with("304 Not Modified", "Content-Length: 5\r\n"), "HTTP/1.1 304 Not Modified | none | keep"},
      {with("205 Reset Content", "Content-Length: 0\r\n"), "HTTP/1.1 205 Reset Content | length 0 | keep"},
      {with("100 Continue", ""), "HTTP/1.1 100 Continue | none | keep"},
      {with("103 Early Hints", "Link: </x>\r\n"), "HTTP/1.1 103 Early Hints | none | keep"},
      {with("101 Switching Protocols", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
       "HTTP/1.1 101 Switching Protocols | tunnel | keep"},
      {with("200 OK", ""), "HTTP/1.1 200 OK | tunnel | keep", "CONNECT"},
      {with("204 No Content", "Content-Length: 5\r\n"), "HTTP/1.1 204 No Content | tunnel | keep", "CONNECT"},
      {with("407 No", "Content-Length: 5\r\n"), "HTTP/1.1 407 No | length 5 | keep", "CONNECT"},
      {with("503 Service Unavailable", "Content-Length: 1\r\n"), "HTTP/1.1 503 Service Unavailable | length 1 | keep"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0 200 OK | length 5 | close"},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0 200 OK | length 5 | keep"},
      {"HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK | until-close | close"},
  });
}

TEST_CASE("status lines") {
  check({
      {with("200", ""), "HTTP/1.1 200  | until-close | close"},
      {with("200 ", ""), "HTTP/1.1 200  | until-close | close"},
      {with("200 two words\t\xe9", "Content-Length: 1\r\n"), "HTTP/1.1 200 two words\t\xe9 | length 1 | keep"},
      {with("999 Odd", "Content-Length: 1\r\n"), "HTTP/1.1 999 Odd | length 1 | keep"},
      {"", "more"},
      {"HTTP/1.1 200 OK\r\n", "more"},
      {"HTTP/1.1 200 OK", "more"},
      {with("099 x", ""), "502 http1.invalid_status"},
      {with("20 OK", ""), "502 http1.invalid_status"},
      {with("2000 OK", ""), "502 http1.invalid_status"},
      {with("+20 OK", ""), "502 http1.invalid_status"},
      {with("200\tOK", ""), "502 http1.invalid_status"},
      {with("200 O\0K"s, ""), "502 http1.invalid_reason"},
      {with("200 O\rK", ""), "502 http1.invalid_reason"},
      {with("", ""), "502 http1.invalid_status_line"},
      {"HTTP/1.1  200 OK\r\n\r\n", "502 http1.invalid_status"},
      {"HTTP/1.2 200 OK\r\n\r\n", "502 http1.invalid_status_line"},
      {"HTTP/2 200\r\n\r\n", "502 http1.invalid_status_line"},
      {"ICY 200 OK\r\n\r\n", "502 http1.invalid_status_line"},
      {"http/1.1 200 OK\r\n\r\n", "502 http1.invalid_status_line"},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", "502 http1.invalid_status_line"},
      {"HTTP/1.1 200 OK\n\n", "502 http1.bare_lf"},
      {"HTTP/1.1 200 OK\r\n\n", "502 http1.bare_lf"},
      {"<html>", "502 http1.invalid_status_line"},
  });
}

TEST_CASE("ambiguous framing from an upstream is refused") {
  check({
      {with("200 OK", "Content-Length: 5\r\nContent-Length: 5\r\n"), "502 http1.repeated_content_length"},
      {with("200 OK", "Content-Length: 5, 5\r\n"), "502 http1.invalid_content_length"},
      {with("200 OK", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "502 http1.content_length_and_chunked_not_allowed"},
      {with("200 OK", "Transfer-Encoding: gzip, chunked\r\n"), "502 http1.unsupported_transfer_encoding"},
      {with("200 OK", "Transfer-Encoding: chunked, x\r\n"), "502 http1.invalid_transfer_encoding"},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "502 http1.transfer_encoding_not_allowed"},
      {with("200 OK", "Connection: content-length\r\nContent-Length: 5\r\n"), "502 http1.connection_header_rejected"},
      {with("204 No", "Content-Length: x\r\n"), "502 http1.invalid_content_length"},
      {with("200 OK", "Content-Length: x\r\n"), "502 http1.invalid_content_length", "HEAD"},
      {with("200 OK", "Content-Length: 5\r\n folded\r\n"), "502 http1.obs_fold"},
      {with("200 OK", "Content-Length : 5\r\n"), "502 http1.space_before_colon"},
      {with("200 OK", "X: a\rb\r\n"), "502 http1.bare_cr"},
  });
}

TEST_CASE("a response head has limits, too") {
  Limits limits;
  limits.head_bytes = 40;
  limits.fields = 2;
  check(
      {
          {with("200 " + std::string(40, 'r'), ""), "502 http1.headers_too_large"},
          {"HTTP/1.1 200 " + std::string(40, 'r'), "502 http1.headers_too_large"},
          {with("200 OK", "X: " + std::string(16, 'x') + "\r\n"), "HTTP/1.1 200 OK | until-close | close"},
          {with("200 OK", "X: " + std::string(17, 'x') + "\r\n"), "502 http1.headers_too_large"},
          {with("200 OK", "A: 1\r\nB: 2\r\nC: 3\r\n"), "502 http1.too_many_headers"},
      },
      limits);
}
