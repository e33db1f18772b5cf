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
};

void check(const std::vector<Row>& rows, const Limits& limits = {}) {
  for (const Row& row : rows) {
    CAPTURE(row.head);
    CHECK(same_for_every_cut(row.head.size(), [&](const auto& cuts) { return request_in_pieces(row.head, cuts, limits); }) ==
          row.outcome);
  }
}

/// A good GET with more fields.
std::string with(const std::string& fields) { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }
std::string post(const std::string& fields) { return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }
const std::string kGet = "GET / HTTP/1.1 | //a / | none | keep";

}  // namespace

TEST_CASE("ordinary requests are understood") {
  check({
      {with(""), kGet},
      {"GET /a?b=c HTTP/1.1\r\nhost: x.test:8080\r\n\r\n", "GET /a?b=c HTTP/1.1 | //x.test:8080 /a?b=c | none | keep"},
      {"purge /x HTTP/1.1\r\nHost: a\r\n\r\n", "purge /x HTTP/1.1 | //a /x | none | keep"},
      {"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH / HTTP/1.1 | //a / | none | keep"},
      {"\r\n\r\n" + with(""), kGet},
      {with("") + "GET /next", kGet},
      {"GET // HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET // HTTP/1.1 | //[::1]:80 // | none | keep"},
      {"GET /{a}|\"b\"\\^` HTTP/1.1\r\nHost: a_b.c\r\n\r\n",
       "GET /{a}|\"b\"\\^` HTTP/1.1 | //a_b.c /{a}|\"b\"\\^` | none | keep"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1 | //a * | none | keep"},
      {with("X: \r\nY:\r\nZ:\t \tv \t\r\n"), kGet},
      {with("X: caf\xc3\xa9 \xff\r\n"), kGet},
      {"GET / HTTP/1.1\r\nHost: a%41\r\n\r\n", "GET / HTTP/1.1 | //a%41 / | none | keep"},
      {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / HTTP/1.1 | //a: / | none | keep"},
  });
}

TEST_CASE("fields keep their spelling, order and duplicates; values lose outer blanks") {
  std::string head = "GET / HTTP/1.1\r\nHOST: a\r\nx-B: 1\r\nX-a:\t2 3 \t\r\nx-b:4\r\nempty:\r\n\r\nrest";
  std::string fields;
  request_in_pieces(head, {}, {}, &fields);
  CHECK(fields == "[HOST=a][x-B=1][X-a=2 3][x-b=4][empty=] @"s + std::to_string(head.size() - 4));
  std::string bytewise;
  request_in_pieces(head, every_byte(head.size()), {}, &bytewise);
  CHECK(bytewise == fields);
}

TEST_CASE("an incomplete head asks for more") {
  check({{"", "more"},
         {"\r", "more"},
         {"\r\n", "more"},
         {"\r\n\r", "more"},
         {"G", "more"},
         {"GET / HTTP/1.1\r\n", "more"},
         {"GET / HTTP/1.1\r\nHost: a\r\n\r", "more"},
         {"GET / HTTP/1.1\r\nbad name", "more"}});
}

TEST_CASE("the request line is strict") {
  check({
      {"\r\n\r\n\r\n" + with(""), "400 http1.invalid_method"},
      {"\n" + with(""), "400 http1.invalid_method"},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_method"},
      {"\x16\x03\x01\x02", "400 http1.invalid_method"},
      {"G\x01T / HTTP/1.1\r\n", "400 http1.invalid_method"},
      {"GET\t/ HTTP/1.1\r\n", "400 http1.invalid_method"},
      {"GET: / HTTP/1.1\r\n", "400 http1.invalid_method"},
      {"GET\r\n", "400 http1.invalid_method"},
      {std::string(65, 'M') + " / HTTP/1.1\r\n", "400 http1.invalid_method"},
      {"GET  / HTTP/1.1\r\n", "400 http1.invalid_url"},
      {"GET /a b HTTP/1.1\r\n", "400 http1.invalid_version"},
      {"GET /a\tb HTTP/1.1\r\n", "400 http1.invalid_url"},
      {"GET /\x7f HTTP/1.1\r\n", "400 http1.invalid_url"},
      {"GET /\xc3\xa9 HTTP/1.1\r\n", "400 http1.invalid_url"},
      {"GET /\0 HTTP/1.1\r\n"s, "400 http1.invalid_url"},
      {"GET /a#b HTTP/1.1\r\n", "400 http1.invalid_url"},
      {"GET /\r\n", "400 http1.invalid_url"},
      {"GET HTTP/1.1\r\n", "400 http1.invalid_url"},
      {"GET /  HTTP/1.1\r\n", "400 http1.invalid_version"},
      {"GET / http/1.1\r\n", "400 http1.invalid_version"},
      {"GET / HTTP/1.1 \r\n", "400 http1.invalid_version"},
      {"GET / HTTP/1.1x\r\n", "400 http1.invalid_version"},
      {"GET / HTTP/11\r\n", "400 http1.invalid_version"},
      {"GET / HTTP/1.10\r\n", "400 http1.invalid_version"},
      {"GET / HTTP/1,1\r\n", "400 http1.invalid_version"},
      {"GET / HTTP/1.1\n\r\n", "400 http1.bare_lf"},
      {"GET / HTTP/1.1\r\r\n", "400 http1.invalid_version"},
      {"GET / HTTP/1.2\r\n", "505 http1.unsupported_version"},
      {"GET / HTTP/0.9\r\n", "505 http1.unsupported_version"},
      {"GET / HTTP/3.0\r\n", "505 http1.unsupported_version"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 http1.unsupported_version"},
  });
}

TEST_CASE("targets are in one of the four forms") {
  const std::string end = " HTTP/1.1\r\nHost: a\r\n\r\n";
  check({
      {"GET a" + end, "400 http1.invalid_url"},
      {"GET ?x" + end, "400 http1.invalid_url"},
      {"GET *" + end, "400 http1.invalid_url"},
      {"OPTIONS *x" + end, "400 http1.invalid_url"},
      {"GET http://a" + end, "GET http://a HTTP/1.1 | http//a / | none | keep"},
      {"GET HTTP://A/x?y" + end, "GET HTTP://A/x?y HTTP/1.1 | http//A /x?y | none | keep"},
      {"GET http://a:80/" + end, "GET http://a:80/ HTTP/1.1 | http//a:80 / | none | keep"},
      {"GET http://a:/" + end, "GET http://a:/ HTTP/1.1 | http//a: / | none | keep"},
      {"GET https://a:443/" + end, "GET https://a:443/ HTTP/1.1 | https//a:443 / | none | keep"},
      {"GET http://a?q" + end, "GET http://a?q HTTP/1.1 | http//a /?q | none | keep"},
      {"OPTIONS http://a" + end, "OPTIONS http://a HTTP/1.1 | http//a * | none | keep"},
      {"GET http://b/" + end, "400 http1.host_contradicts_target"},
      {"GET http://a:81/" + end, "400 http1.host_contradicts_target"},
      {"GET https://a:80/" + end, "400 http1.host_contradicts_target"},
      {"GET http://u@a/" + end, "400 http1.invalid_url"},
      {"GET http://u:p@a/" + end, "400 http1.invalid_url"},
      {"GET http:///x" + end, "400 http1.invalid_url"},
      {"GET http://" + end, "400 http1.invalid_url"},
      {"GET http://:80/" + end, "400 http1.invalid_url"},
      {"GET http:/a" + end, "400 http1.invalid_url"},
      {"GET ftp://a/" + end, "400 http1.invalid_url"},
      {"GET ://a/" + end, "400 http1.invalid_url"},
      {"GET http://a:99999/" + end, "400 http1.invalid_url"},
      {"GET http://a\\b/" + end, "400 http1.invalid_url"},
      {"CONNECT a:443" + end, "CONNECT a:443 HTTP/1.1 | //a:443 | tunnel | keep"},
      {"CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", "CONNECT [::1]:1 HTTP/1.1 | //[::1]:1 | tunnel | keep"},
      {"CONNECT a" + end, "400 http1.invalid_url"},
      {"CONNECT a:" + end, "400 http1.invalid_url"},
      {"CONNECT a:0" + end, "400 http1.invalid_url"},
      {"CONNECT a:65536" + end, "400 http1.invalid_url"},
      {"CONNECT u@a:1" + end, "400 http1.invalid_url"},
      {"CONNECT a:1/" + end, "400 http1.invalid_url"},
      {"CONNECT /" + end, "400 http1.invalid_url"},
      {"CONNECT http://a:1" + end, "400 http1.invalid_url"},
      {"CONNECT b:1" + end, "400 http1.host_contradicts_target"},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a:2\r\n\r\n", "400 http1.host_contradicts_target"},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "400 http1.body_disallowed"},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400 http1.body_disallowed"},
  });
}

TEST_CASE("HTTP/1.1 needs exactly one good Host") {
  const std::string start = "GET / HTTP/1.1\r\n";
  check({
      {start + "\r\n", "400 missing_host_header"},
      {start + "X: a\r\n\r\n", "400 missing_host_header"},
      {start + "Host: a\r\nHost: a\r\n\r\n", "400 http1.multiple_host_headers"},
      {start + "Host: a\r\nhOST: b\r\n\r\n", "400 http1.multiple_host_headers"},
      {start + "Host:\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: \r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a b\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a,b\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a/b\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: u@a\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a?b\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a#b\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a:b\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a:1:2\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: ::1\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: [::1\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: [::1]x\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: []\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a%4\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: a%zz\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: \xc3\xa9\r\n\r\n", "400 http1.invalid_host"},
      {start + "Host: http://a\r\n\r\n", "400 http1.invalid_host"},
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 http1.space_before_colon"},
  });
}

TEST_CASE("HTTP/1.0 is served, kept alive only if asked") {
  const std::string start = "GET / HTTP/1.0\r\n";
  check({
      {start + "\r\n", "GET / HTTP/1.0 | // / | none | close"},
      {start + "Host: a\r\n\r\n", "GET / HTTP/1.0 | //a / | none | close"},
      {start + "Host:\r\n\r\n", "GET / HTTP/1.0 | // / | none | close"},
      {start + "Host: a\r\nHost: a\r\n\r\n", "400 http1.multiple_host_headers"},
      {start + "Connection: Keep-Alive\r\n\r\n", "GET / HTTP/1.0 | // / | none | keep"},
      {start + "Connection: keep-alive, close\r\n\r\n", "GET / HTTP/1.0 | // / | none | close"},
      {start + "Content-Length: 3\r\n\r\n", "GET / HTTP/1.0 | // / | length 3 | close"},
      {start + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", "GET / HTTP/1.0 | // / | length 3 | close"},
      {start + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.0 | // / | none | close"},
      {start + "Transfer-Encoding: chunked\r\n\r\n", "400 http1.transfer_encoding_not_allowed"},
  });
}

TEST_CASE("lengths are digits, once") {
  const std::string ok = "POST / HTTP/1.1 | //a / | length ";
  const std::string bad = "400 http1.invalid_content_length";
  check({
      {post("Content-Length: 0\r\n"), ok + "0 | keep"},
      {post("content-length:\t42 \r\n"), ok + "42 | keep"},
      {post("Content-Length: 007\r\n"), ok + "7 | keep"},
      {post("Content-Length: 9223372036854775807\r\n"), ok + "9223372036854775807 | keep"},
      {with("Content-Length: 2\r\n"), "GET / HTTP/1.1 | //a / | length 2 | keep"},
      {post("Content-Length: 9223372036854775808\r\n"), bad},
      {post("Content-Length: 18446744073709551616\r\n"), bad},
      {post("Content-Length: 00000000000000000005\r\n"), bad},
      {post("Content-Length: -1\r\n"), bad},
      {post("Content-Length: +1\r\n"), bad},
      {post("Content-Length: 1 2\r\n"), bad},
      {post("Content-Length: 0x10\r\n"), bad},
      {post("Content-Length: 1.0\r\n"), bad},
      {post("Content-Length: 1e1\r\n"), bad},
      {post("Content-Length: five\r\n"), bad},
      {post("Content-Length:\r\n"), bad},
      {post("Content-Length: 5, 5\r\n"), bad},
      {post("Content-Length: 5,6\r\n"), bad},
      {post("Content-Length: 5;\r\n"), bad},
      {post("Content-Length: 5\r\nContent-Length: 5\r\n"), "400 http1.repeated_content_length"},
      {post("Content-Length: 5\r\ncontent-length: 6\r\n"), "400 http1.repeated_content_length"},
      {post("Content-Length: 5\r\nX: y\r\nContent-Length:\r\n"), "400 http1.repeated_content_length"},
      {post("Content-Length : 5\r\n"), "400 http1.space_before_colon"},
      {post("Content-Length\x01: 5\r\n"), "400 http1.invalid_header_name"},
      {post("\vContent-Length: 5\r\n"), "400 http1.invalid_header_name"},
  });
}

TEST_CASE("the only transfer coding is chunked, once and alone") {
  const std::string bad = "400 http1.invalid_transfer_encoding";
  const std::string unknown = "501 http1.unsupported_transfer_encoding";
  check({
      {post("Transfer-Encoding: chunked\r\n"), "POST / HTTP/1.1 | //a / | chunked | keep"},
      {post("transfer-encoding:  CHUNKED\t\r\n"), "POST / HTTP/1.1 | //a / | chunked | keep"},
      {post("Transfer-Encoding: gzip, chunked\r\n"), unknown},
      {post("Transfer-Encoding: identity\r\n"), unknown},
      {post("Transfer-Encoding: xchunked\r\n"), unknown},
      {post("Transfer-Encoding: chunkedx\r\n"), unknown},
      {post("Transfer-Encoding: gzip;q=1, chunked\r\n"), unknown},
      {post("Transfer-Encoding:\r\n"), bad},
      {post("Transfer-Encoding: ,\r\n"), bad},
      {post("Transfer-Encoding: chunked,\r\n"), bad},
      {post("Transfer-Encoding: , chunked\r\n"), bad},
      {post("Transfer-Encoding: chunked, chunked\r\n"), bad},
      {post("Transfer-Encoding: chunked, identity\r\n"), bad},
      {post("Transfer-Encoding: chunked, gzip\r\n"), bad},
      {post("Transfer-Encoding: \"chunked\"\r\n"), bad},
      {post("Transfer-Encoding: chun ked\r\n"), bad},
      {post("Transfer-Encoding: 'chunked'\r\n"), unknown},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400 http1.repeated_transfer_encoding"},
      {post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"), "400 http1.repeated_transfer_encoding"},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "400 http1.content_length_and_chunked_not_allowed"},
      {post("Content-Length: 0\r\nTransfer-Encoding: x\r\n"), "400 http1.content_length_and_chunked_not_allowed"},
      {post("Transfer-Encoding : chunked\r\n"), "400 http1.space_before_colon"},
      {post("Transfer-Encoding: \vchunked\r\n"), "400 http1.invalid_header_value"},
      {post("Transfer-Encoding:\r\n chunked\r\n"), "400 http1.obs_fold"},
      {post("Transfer-Encoding: chunk\xc4\x97"
            "d\r\n"),
       bad},
  });
}

TEST_CASE("field lines are strict") {
  check({
      {with(" folded: 1\r\n"), "400 http1.obs_fold"},
      {with("X: 1\r\n\tfolded\r\n"), "400 http1.obs_fold"},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 http1.obs_fold"},
      {with(": v\r\n"), "400 http1.empty_header_name"},
      {with("X : 1\r\n"), "400 http1.space_before_colon"},
      {with("X\t: 1\r\n"), "400 http1.space_before_colon"},
      {with("X Y: 1\r\n"), "400 http1.space_before_colon"},
      {with("NoColon\r\n"), "400 http1.missing_colon"},
      {with("X\n"), "400 http1.bare_lf"},
      {with("X(: 1\r\n"), "400 http1.invalid_header_name"},
      {with("X\xe9: 1\r\n"), "400 http1.invalid_header_name"},
      {with("X\0: 1\r\n"s), "400 http1.invalid_header_name"},
      {with("\"X\": 1\r\n"), "400 http1.invalid_header_name"},
      {with("X/Y: 1\r\n"), "400 http1.invalid_header_name"},
      {with("X: 1\n"), "400 http1.bare_lf"},
      {with("X: 1\nY: 2\r\n"), "400 http1.bare_lf"},
      {with("X: 1\rY: 2\r\n"), "400 http1.bare_cr"},
      {with("X: 1\r\r\n"), "400 http1.bare_cr"},
      {with("X: 1\r \r\n"), "400 http1.bare_cr"},
      {with("\rX: 1\r\n"), "400 http1.bare_cr"},
      {with("\r\r\n"), "400 http1.bare_cr"},
      {with("X: a\0b\r\n"s), "400 http1.invalid_header_value"},
      {with("X: a\x01\r\n"), "400 http1.invalid_header_value"},
      {with("X: a\x1b[0m\r\n"), "400 http1.invalid_header_value"},
      {with("X: a\x7f\r\n"), "400 http1.invalid_header_value"},
      {with("X: a\v\r\n"), "400 http1.invalid_header_value"},
      {with("X: long enough for the wide scan \f and more behind it\r\n"), "400 http1.invalid_header_value"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", "400 http1.bare_lf"},
      {"GET / HTTP/1.1\r\nHost: a\n\n", "400 http1.bare_lf"},
  });
}

TEST_CASE("Connection, Expect and Upgrade") {
  check({
      {with("Connection: close\r\n"), "GET / HTTP/1.1 | //a / | none | close"},
      {with("Connection: foo,CLOSE ,bar\r\n"), "GET / HTTP/1.1 | //a / | none | close"},
      {with("Connection: foo\r\nConnection: close\r\n"), "GET / HTTP/1.1 | //a / | none | close"},
      {with("Connection: closed\r\n"), kGet},
      {with("Connection: keep-alive\r\n"), kGet},
      {with("Connection: content-length\r\n"), "400 http1.connection_header_rejected"},
      {with("Connection: close, Host\r\n"), "400 http1.connection_header_rejected"},
      {with("Connection: close;\r\n"), "400 http1.connection_header_rejected"},
      {with("Connection: a b\r\n"), "400 http1.connection_header_rejected"},
      {with("Connection: , close,,\r\n"), "GET / HTTP/1.1 | //a / | none | close"},
      {with("Connection:\r\n"), kGet},
      {with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"), kGet + " | upgrade websocket"},
      {with("Upgrade: websocket\r\n"), kGet},
      {with("Connection: upgrade\r\n"), kGet},
      {with("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"), kGet},
      {post("Content-Length: 1\r\nExpect: 100-Continue\r\n"), "POST / HTTP/1.1 | //a / | length 1 | keep | expects"},
      {post("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"), "POST / HTTP/1.1 | //a / | chunked | keep | expects"},
      {post("Content-Length: 0\r\nExpect: 100-continue\r\n"), "POST / HTTP/1.1 | //a / | length 0 | keep"},
      {with("Expect: 100-continue\r\n"), kGet},
      {post("Content-Length: 1\r\nExpect: something\r\n"), "POST / HTTP/1.1 | //a / | length 1 | keep"},
  });
}

TEST_CASE("what is too large is refused as soon as that is known") {
  Limits limits;
  limits.head_bytes = 64;
  limits.target_bytes = 16;
  limits.fields = 3;
  std::string long_target = "GET /" + std::string(200, 'a');
  check(
      {
          {"GET /" + std::string(15, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET /aaaaaaaaaaaaaaa HTTP/1.1 | //a /aaaaaaaaaaaaaaa | none | keep"},
          {"GET /" + std::string(16, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", "414 http1.target_too_large"},
          {long_target, "414 http1.target_too_large"},
          {long_target + " HTTP/1.1\r\nHost: a\r\n\r\n", "414 http1.target_too_large"},
          {std::string(64, 'G'), "more"},
          {std::string(65, 'G'), "414 http1.target_too_large"},
          {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(32, 'x') + "\r\n\r\n", kGet},
          {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(33, 'x') + "\r\n\r\n", "431 http1.headers_too_large"},
          {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(33, 'x'), "more"},
          {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(37, 'x'), "431 http1.headers_too_large"},
          {with("A: 1\r\nB: 2\r\n"), kGet},
          {with("A: 1\r\nB: 2\r\nC: 3\r\n"), "431 http1.too_many_headers"},
          {with("A: 1\r\nB: 2\r\nC: 3"), "431 http1.too_many_headers"},
          {with("A: 1\r\nB: 2\r\n") + std::string(300, 'x'), kGet},
      },
      limits);
}

TEST_CASE("a head of 60 KiB in 100 fields passes by default, one more byte or field does not") {
  auto sized = [](std::size_t size) {
    std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 98; ++i) head += "x: y\r\n";
    head += "Big: ";
    head += std::string(size - head.size() - 4, 'b');
    return head + "\r\n\r\n";
  };
  CHECK(request_in_pieces(sized(60 * 1024), {}) == kGet);
  CHECK(request_in_pieces(sized(60 * 1024 + 1), {}) == "431 http1.headers_too_large");
  CHECK(request_in_pieces(sized(60 * 1024 + 1), {100, 5000, 60 * 1024}) == "431 http1.headers_too_large");
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 100; ++i) head += "x: y\r\n";
  CHECK(request_in_pieces(head + "\r\n", {}) == "431 http1.too_many_headers");
}

TEST_CASE("a resume offset with another head starts anew instead of losing the request line") {
  std::string head = with("");
  std::size_t resume = 0;
  RequestHead first;
  CHECK(parse_request_head(head.substr(0, 20), {}, resume, first).state == ParseResult::State::need_more);
  RequestHead second;
  CHECK(parse_request_head(head, {}, resume, second).state == ParseResult::State::done);
  CHECK(to_text(second) == kGet);
}
