// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "http/h1_testing.h"

using namespace weir::http;
using weir::http::testing::to_text;

namespace {

HeaderMap make(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  HeaderMap headers;
  for (const auto& [name, value] : fields) headers.append(name, value);
  return headers;
}

}  // namespace

TEST_CASE("names compare without case, values come back as sent") {
  HeaderMap headers = make({{"Accept", "a"}, {"ACCEPT", "b"}, {"x", ""}});
  CHECK(headers.get("accept") == "a");
  CHECK(headers.count("aCCept") == 2);
  CHECK(headers.has("X"));
  CHECK(headers.get("x") == "");
  CHECK_FALSE(headers.get("y"));
}

TEST_CASE("set keeps the first field's place and spelling and drops the others") {
  HeaderMap headers = make({{"a", "1"}, {"B", "2"}, {"c", "3"}, {"b", "4"}});
  headers.set("b", "new");
  CHECK(to_text(headers) == "[a=1][B=new][c=3]");
  headers.set("D", "5");
  CHECK(to_text(headers) == "[a=1][B=new][c=3][D=5]");
}

TEST_CASE("remove says how many fields went") {
  HeaderMap headers = make({{"a", "1"}, {"B", "2"}, {"b", "4"}});
  CHECK(headers.remove("B") == 2);
  CHECK(headers.remove("B") == 0);
  CHECK(to_text(headers) == "[a=1]");
}

TEST_CASE("set may take its new value from the map itself") {
  HeaderMap headers = make({{"a", "1"}, {"b", "2"}});
  headers.set("a", *headers.get("b"));
  CHECK(to_text(headers) == "[a=2][b=2]");
}

TEST_CASE("a copy stands on its own, a moved map keeps its views") {
  std::string buffer = "nameValue";
  HeaderMap headers;
  headers.append_view(std::string_view(buffer).substr(0, 4), std::string_view(buffer).substr(4));
  HeaderMap copy = headers.copy();
  buffer.assign(9, '?');
  CHECK(to_text(copy) == "[name=Value]");
  HeaderMap moved = std::move(copy);
  moved.append("x", std::string(5000, 'x'));
  CHECK(moved.get("NAME") == "Value");
  moved.clear();
  CHECK(moved.empty());
  moved.append("a", "b");
  CHECK(to_text(moved) == "[a=b]");
}

TEST_CASE("the arena gives every piece its own bytes across blocks and after clear") {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::string_view> views;
    for (std::size_t i = 0; i < 400; ++i) views.push_back(arena.copy(std::string(i * 7 % 900, static_cast<char>('a' + i % 26))));
    for (std::size_t i = 0; i < 400; ++i) CHECK(views[i] == std::string(i * 7 % 900, static_cast<char>('a' + i % 26)));
    arena.clear();
  }
}

TEST_CASE("hop-by-hop fields go, with all that Connection lists, but never what frames or routes") {
  HeaderMap headers = make({{"Host", "a"},
                            {"Connection", "close, X-Hop,te"},
                            {"x-hop", "1"},
                            {"X-Hop", "2"},
                            {"Keep-Alive", "timeout=5"},
                            {"TE", "gzip, trailers"},
                            {"Proxy-Connection", "keep-alive"},
                            {"Transfer-Encoding", "chunked"},
                            {"Upgrade", "h2c"},
                            {"connection", "Y, content-length, host"},
                            {"y", "3"},
                            {"Content-Length", "5"},
                            {"Trailer", "z"},
                            {"Accept", "b"}});
  remove_hop_by_hop(headers, false);
  CHECK(to_text(headers) == "[Host=a][TE=trailers][Content-Length=5][Trailer=z][Accept=b]");
}

TEST_CASE("an upgrade that is forwarded keeps Connection and Upgrade and nothing else of them") {
  HeaderMap headers = make({{"connection", "keep-alive, upgrade, X"}, {"X", "1"}, {"Upgrade", "websocket"}, {"te", "deflate"}});
  remove_hop_by_hop(headers, true);
  CHECK(to_text(headers) == "[connection=Upgrade][Upgrade=websocket]");
  HeaderMap plain = make({{"Connection", "close"}, {"A", "1"}});
  remove_hop_by_hop(plain, true);
  CHECK(to_text(plain) == "[A=1]");
}

TEST_CASE("heads are written as they stand") {
  HeaderMap headers = make({{"hOST", "a"}, {"X", ""}});
  std::string out = "before";
  write_request_head(out, "PURGE", "/x?y", Version::http11, headers);
  CHECK(out == "beforePURGE /x?y HTTP/1.1\r\nhOST: a\r\nX: \r\n\r\n");
  out.clear();
  write_response_head(out, 404, reason_phrase(404), Version::http10, headers);
  CHECK(out == "HTTP/1.0 404 Not Found\r\nhOST: a\r\nX: \r\n\r\n");
  out.clear();
  write_response_head(out, 599, reason_phrase(599), Version::http11, {});
  CHECK(out == "HTTP/1.1 599 Unknown\r\n\r\n");
  out.clear();
  write_chunk_size(out, 0x1f);
  CHECK(out == "1f\r\n");
}
