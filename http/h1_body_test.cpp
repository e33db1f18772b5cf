// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "http/h1_testing.h"

using namespace weir::http;
using namespace weir::http::testing;
using std::string_literals::operator""s;  // NOLINT(misc-unused-using-decls): it is used; literals are not counted

namespace {

struct Row {
  std::string bytes;
  std::string outcome;
};

void check(const std::vector<Row>& rows, Framing framing, std::uint64_t length = 0, const Limits& limits = {}) {
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    CHECK(same_for_every_cut(row.bytes.size(), [&](const auto& cuts) {
            return body_in_pieces(row.bytes, cuts, framing, length, limits);
          }) == row.outcome);
  }
}

}  // namespace

TEST_CASE("a body by length ends there") {
  check({{"", "||more"}, {"hell", "hell||more"}, {"hello", "hello||done"}, {"helloGET", "hello||done|GET"}}, Framing::length, 5);
  check({{"", "||done"}, {"GET", "||done|GET"}}, Framing::length, 0);
  check({{"", "||done"}, {"GET", "||done|GET"}}, Framing::none);
}

TEST_CASE("a body until close and a tunnel never end by themselves") {
  check({{"0\r\n\r\n", "0\r\n\r\n||until eof"}, {"", "||until eof"}}, Framing::until_close);
  check({{"bytes", "bytes||until eof"}}, Framing::tunnel);
}

TEST_CASE("good chunks") {
  check(
      {
          {"0\r\n\r\n", "||done"},
          {"5\r\nhello\r\n0\r\n\r\n", "hello||done"},
          {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", "hello world||done|GET"},
          {"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789||done"},
          {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello||done"},
          {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n||done"},
          {"5;a=b\r\nhello\r\n0;last\r\n\r\n", "hello||done"},
          {"5 ; a = \"b;c\"\r\nhello\r\n0\r\n\r\n", "hello||done"},
          {"5;a;b = c;d=\"\";e=\"\\\"\"\r\nhello\r\n0\r\n\r\n", "hello||done"},
          {"0\r\nX-Sum: 1\r\ny: 2 \r\n\r\n", "|[X-Sum=1][y=2]|done"},
          {"0\r\nset-cookie: a\r\nAuthorization: b\r\nx: 1\r\n\r\n", "|[x=1]|done"},
          {"", "||more"},
          {"5", "||more"},
          {"5\r", "||more"},
          {"5\r\n", "||more"},
          {"5\r\nhel", "hel||more"},
          {"5\r\nhello", "hello||more"},
          {"5\r\nhello\r", "hello||more"},
          {"5\r\nhello\r\n0\r\n", "hello||more"},
          {"0\r\nx: 1\r\n", "|[x=1]|more"},
          {"8000000000000000", "||more"},
      },
      Framing::chunked);
}

TEST_CASE("bad chunks") {
  const std::string size = "|error http1.invalid_chunk_size";
  check(
      {
          {"\r\n", size},
          {"x\r\n", size},
          {"-1\r\n", size},
          {"+1\r\n", size},
          {" 1\r\n", size},
          {"1 \r\n", size},
          {"0x1\r\n", size},
          {"1 2\r\n", size},
          {"1,\r\n", size},
          {"1_0\r\n", size},
          {"8000000000000000\r\n", size},
          {"ffffffffffffffff\r\n", size},
          {"10000000000000000\r\n", size},
          {"00000000000000005\r\n", size},
          {"5\nhello", "|error http1.bare_lf"},
          {"\n", "|error http1.bare_lf"},
          {"5\r\r\n", size},
          {"5;a\rb\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a\0b\r\n"s, "|error http1.invalid_chunk_extension"},
          {"5;\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a;\r\n", "|error http1.invalid_chunk_extension"},
          {"5;=b\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a=\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a=b c\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a=\"b\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a=\"b\\\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a=\"b\"c\r\n", "|error http1.invalid_chunk_extension"},
          {"5;a \r\n", "|error http1.invalid_chunk_extension"},
          {"5;a\nb\r\n", "|error http1.bare_lf"},
          {"5\r\nhello0\r\n", "hello|error http1.missing_chunk_end"},
          {"5\r\nhello\n0\r\n", "hello|error http1.missing_chunk_end"},
          {"5\r\nhello\rx", "hello|error http1.missing_chunk_end"},
          {"5\r\nhelloworld", "hello|error http1.missing_chunk_end"},
          {"5\r\nhello\r\n\r\n", "hello|error http1.invalid_chunk_size"},
          {"0\r\nX : 1\r\n\r\n", "|error http1.space_before_colon"},
          {"0\r\n folded\r\n\r\n", "|error http1.obs_fold"},
          {"0\r\nx: 1\n\r\n", "|error http1.bare_lf"},
          {"0\r\n\n", "|error http1.bare_lf"},
          {"0\r\nTransfer-Encoding: chunked\r\n\r\n", "|error http1.forbidden_trailer"},
          {"0\r\ncontent-length: 5\r\n\r\n", "|error http1.forbidden_trailer"},
          {"0\r\nHOST: a\r\n\r\n", "|error http1.forbidden_trailer"},
          {"0\r\nConnection: close\r\n\r\n", "|error http1.forbidden_trailer"},
          {"0\r\nX: a\0\r\n\r\n"s, "|error http1.invalid_header_value"},
      },
      Framing::chunked);
}

TEST_CASE("chunk lines, extensions and trailers have limits") {
  Limits limits;
  limits.chunk_line_bytes = 10;
  limits.trailer_bytes = 20;
  limits.fields = 2;
  check(
      {
          {"1;e4567890\r\nx\r\n0\r\n\r\n", "x||done"},
          {"1;e45678901\r\nx", "|error http1.chunk_line_too_large"},
          {std::string(11, '0'), "||more"},
          {std::string(12, '0'), "|error http1.chunk_line_too_large"},
          {"0\r\nx: 3456789012345\r\n\r\n", "|[x=3456789012345]|done"},
          {"0\r\nx: 34567890123456\r\n\r\n", "|error http1.trailers_too_large"},
          {"0\r\na:1\r\nb:2\r\nc:3\r\n\r\n", "|error http1.too_many_trailers"},
      },
      Framing::chunked, 0, limits);
}

TEST_CASE("extensions on tiny chunks run out of patience, on large ones they don't") {
  std::string extension = ";" + std::string(200, 'e') + "\r\n";
  std::string tiny;
  for (int i = 0; i < 100; ++i) tiny += "1" + extension + "x\r\n";
  CHECK(body_in_pieces(tiny, {}, Framing::chunked, 0).ends_with("|error http1.chunk_extensions_too_large"));
  std::string large;
  for (int i = 0; i < 100; ++i) large += "1000" + extension + std::string(4096, 'x') + "\r\n";
  CHECK(body_in_pieces(large + "0\r\n\r\n", {}, Framing::chunked, 0).ends_with("||done"));
}

TEST_CASE("chunks that we write are read again") {
  for (std::size_t size : {1u, 15u, 16u, 255u, 4096u, 70000u}) {
    std::string payload(size, 'p');
    std::string bytes;
    for (std::size_t at = 0; at < size; at += 1000) {
      std::string_view piece = std::string_view(payload).substr(at, 1000);
      write_chunk_size(bytes, piece.size());
      bytes.append(piece).append("\r\n");
    }
    HeaderMap trailers;
    trailers.append("grpc-status", "0");
    write_last_chunk(bytes, trailers);
    CHECK(body_in_pieces(bytes, {size / 2, size}, Framing::chunked, 0) == payload + "|[grpc-status=0]|done");
  }
}
