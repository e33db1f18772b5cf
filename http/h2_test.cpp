// SPDX-License-Identifier: Apache-2.0
#include "http/h2.h"

#include <doctest/doctest.h>

#include "http/h2_flood.h"
#include "http/h2_testing.h"

using namespace weir::http;
using namespace weir::http::testing;

namespace {

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  const char head[9] = {static_cast<char>(payload.size() >> 16),
                        static_cast<char>(payload.size() >> 8),
                        static_cast<char>(payload.size()),
                        static_cast<char>(type),
                        static_cast<char>(flags),
                        static_cast<char>(stream >> 24),
                        static_cast<char>(stream >> 16),
                        static_cast<char>(stream >> 8),
                        static_cast<char>(stream)};
  return std::string(head, 9).append(payload);
}
/// Literal fields without indexing (RFC 7541, 6.2.2), short names and values.
std::string literal(std::string_view name, std::string_view value) {
  std::string bytes(1, '\0');
  bytes.append(1, static_cast<char>(name.size())).append(name);
  return bytes.append(1, static_cast<char>(value.size())).append(value);
}
const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");

/// A server that gets one header block (with END_STREAM unless `open`).
std::string serve(const std::string& block, bool open = false) {
  Recorder events;
  H2Session server(H2Role::server, {}, events);
  events.session = &server;
  (void)server.feed(kPreface + frame(1, open ? 4 : 5, 1, block));
  std::string out;
  server.take(out);
  return events.text();
}
std::string get(const std::string& more) {
  return literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/") + more;
}

}  // namespace

TEST_CASE("a request and its answer, in pieces of every kind") {
  for (std::size_t piece : {65536u, 1u, 13u}) {
    H2Pair pair;
    RequestHead head;
    head.method = "POST";
    head.scheme = "https";
    head.authority = "a:1";
    head.path = "/x?y";
    for (auto [name, value] : {std::pair{"Host", "b"},
                               {"X-Mixed", "V"},
                               {"Connection", "close"},
                               {"TE", "trailers"},
                               {"Transfer-Encoding", "chunked"},
                               {"Keep-Alive", "1"},
                               {"Upgrade", "x"}}) {
      head.headers.append(name, value);
    }
    H2Stream& stream = **pair.client.submit_request(head, true);
    pair.client_events.bodies[1].has_trailers = true;
    pair.client_events.bodies[1].trailers.append("Sum", "1");
    pair.run(piece);
    CHECK(pair.server_events.text() == "1 POST /x?y HTTP/2 | https//a:1 /x?y | chunked | keep | [x-mixed=V][te=trailers]\n");
    pair.client_events.send(stream, "ab", false);
    pair.client_events.send(stream, "cd", true);
    pair.server_events.lines.clear();
    pair.server_events.logs_data = false;
    pair.run(piece);
    CHECK(pair.server_events.text() == "1 trailers [sum=1]\n1 end\n");
    CHECK(pair.server_events.received == 4);
    HeaderMap hints;
    hints.append("link", "<x>");
    CHECK(pair.server.submit_informational(*pair.server_events.streams.at(1), 103, hints));
    ResponseHead response;
    response.status = 200;
    response.headers.append("Content-Length", "3");
    CHECK(pair.server.submit_response(*pair.server_events.streams.at(1), response, true));
    pair.server_events.send(*pair.server_events.streams.at(1), "xyz", true);
    pair.client_events.logs_data = false;
    pair.run(piece);
    CHECK(pair.client_events.text() ==
          "1 HTTP/2 103  | none | keep | [link=<x>]\n1 HTTP/2 200  | length 3 | keep | [content-length=3]\n1 end\n1 closed "
          "NO_ERROR\n");
    CHECK(pair.client_events.received == 3);
    CHECK(pair.client.open_streams() == 0);
    CHECK(pair.server.open_streams() == 0);
  }
}

TEST_CASE("heads are held to HTTP/1's strictness") {
  const std::string good = "1 GET / HTTP/2 | http//a / | none | keep | ";
  const std::string refused;
  CHECK(serve(get(literal(":authority", "a"))) == good + "\n1 end\n");
  CHECK(serve(get(literal("host", "a"))) == good + "[host=a]\n1 end\n");
  CHECK(serve(get(literal(":authority", "a") + literal("host", "A:80"))) == good + "[host=A:80]\n1 end\n");
  CHECK(serve(get(literal(":authority", "a") + literal("cookie", "x=1") + literal("b", "2") + literal("cookie", "y=2"))) ==
        good + "[cookie=x=1; y=2][b=2]\n1 end\n");
  CHECK(serve(get(literal(":authority", "a") + literal("host", "b"))) == refused);
  CHECK(serve(get("")) == refused);
  CHECK(serve(get(literal(":authority", "u@a"))) == refused);
  CHECK(serve(get(literal(":authority", "a/b"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("Upper", "x"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("x y", "1"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("x", "1\r\nb: 2"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("x", std::string_view("\0", 1)))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("connection", "close"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("transfer-encoding", "chunked"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("te", "gzip"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("content-length", "5"))) == refused);
  CHECK(serve(get(literal(":authority", "a") + literal("x", "1") + literal(":path", "/"))) == refused);
  CHECK(serve(literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "x") + literal(":authority", "a")) ==
        refused);
  CHECK(serve(literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/ x") + literal(":authority", "a")) ==
        refused);
  CHECK(serve(literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/#x") + literal(":authority", "a")) ==
        refused);
  CHECK(serve(literal(":method", "GET") + literal(":scheme", "ftp") + literal(":path", "/") + literal(":authority", "a")) ==
        refused);
  CHECK(serve(literal(":method", "G T") + literal(":scheme", "http") + literal(":path", "/") + literal(":authority", "a")) ==
        refused);
  CHECK(serve(literal(":method", "CONNECT") + literal(":authority", "a:1"), true) ==
        "1 CONNECT a:1 HTTP/2 | //a:1 | tunnel | keep | \n");
}

TEST_CASE("WebSocket over HTTP/2 needs the setting") {
  std::string block = literal(":method", "CONNECT") + literal(":protocol", "websocket") + literal(":scheme", "http") +
                      literal(":path", "/ws") + literal(":authority", "a");
  CHECK(serve(block, true).empty());
  H2Settings settings;
  settings.extended_connect = true;
  H2Pair pair({}, settings);
  pair.run();
  RequestHead head;
  head.method = "CONNECT";
  head.upgrade = "websocket";
  head.scheme = "http";
  head.authority = "a";
  head.path = "/ws";
  H2Stream& stream = **pair.client.submit_request(head, true);
  pair.run();
  CHECK(pair.server_events.text() == "1 CONNECT /ws HTTP/2 | http//a /ws | tunnel | keep | upgrade websocket | \n");
  pair.answer(1, 200, true);
  pair.client_events.send(stream, "up", false);
  pair.server_events.send(*pair.server_events.streams.at(1), "down", true);
  pair.run();
  CHECK(pair.client_events.text() == "1 HTTP/2 200  | tunnel | keep | \n1 data down\n1 end\n");
  pair.client_events.send(stream, "after the server's end", true);
  pair.run();
  CHECK(pair.server_events.lines.back() == "1 closed NO_ERROR");
  CHECK(pair.client_events.lines.back() == "1 closed NO_ERROR");
}

TEST_CASE("a sender stops at the window until the receiver consumes") {
  H2Settings small;
  small.stream_window = 1000;
  small.connection_window = 65535;
  H2Pair pair({}, small);
  pair.server_events.consumes = pair.server_events.logs_data = false;
  H2Stream& stream = pair.get("/", true);
  pair.run();
  pair.client_events.send(stream, std::string(5000, 'x'), true);
  pair.run();
  CHECK(pair.server_events.received == 1000);
  CHECK_FALSE(pair.client.wants_write());
  pair.server.consume(*pair.server_events.streams.at(1), 1000);
  pair.run();
  CHECK(pair.server_events.received == 2000);
}

TEST_CASE("a stream that is closed gives its unconsumed bytes back to the connection") {
  H2Settings small;
  small.connection_window = 65535;
  H2Pair pair({}, small);
  pair.server_events.consumes = pair.server_events.logs_data = false;
  for (int i = 0; i < 10; ++i) {
    H2Stream& stream = pair.get("/", true);
    pair.client_events.send(stream, std::string(40000, 'x'), false);
    pair.run();
    pair.client.reset(stream, H2Code::cancel);
    pair.run();
  }
  CHECK(pair.server_events.received == 400000);
}

TEST_CASE("take stops near its limit and loses nothing") {
  H2Pair pair;
  pair.server_events.logs_data = false;
  H2Stream& stream = pair.get("/", true);
  pair.run();
  pair.client_events.send(stream, std::string(200000, 'x'), true);
  std::string out;
  pair.client.take(out, 20000);
  CHECK(out.size() >= 20000);
  CHECK(out.size() <= 20000 + 16384 + 9);
  CHECK(pair.client.wants_write());
  REQUIRE(pair.server.feed(out));
  pair.run();
  CHECK(pair.server_events.received == 200000);
}

TEST_CASE("a reset reaches the other side with its code, and its own side as the last event") {
  H2Pair pair;
  H2Stream& stream = pair.get("/", true);
  pair.run();
  pair.client.reset(stream, H2Code::cancel);
  pair.run();
  CHECK(pair.client_events.text() == "1 closed CANCEL\n");
  CHECK(pair.server_events.lines.back() == "1 closed CANCEL");
}

TEST_CASE("an early answer asks for the rest of the request to be stopped, without an error") {
  H2Pair pair;
  H2Stream& stream = pair.get("/", true);
  pair.run();
  pair.answer(1, 413);
  pair.run();
  CHECK(pair.client_events.text() == "1 HTTP/2 413  | none | keep | \n1 end\n1 closed NO_ERROR\n");
  (void)stream;
}

TEST_CASE("streams above the limit are refused, and a client knows the limit") {
  H2Settings settings;
  settings.max_concurrent_streams = 2;
  H2Pair pair({}, settings);
  CHECK(pair.client.max_streams() == 100);
  pair.run();
  CHECK(pair.client.max_streams() == 2);
  pair.get();
  pair.get();
  CHECK_FALSE(pair.client.can_open());
  pair.run();
  pair.answer(1);
  pair.run();
  CHECK(pair.client.can_open());
}

TEST_CASE("a draining server serves what was under way, then is finished") {
  H2Pair pair;
  pair.get("/early");
  pair.run();
  pair.server.drain();
  pair.get("/in-flight");  // sent before the client sees the notice
  std::string crossing;
  pair.client.take(crossing);
  std::string notice;
  pair.server.take(notice);
  CHECK_FALSE(pair.server.is_finished());
  REQUIRE(pair.server.feed(crossing));
  REQUIRE(pair.client.feed(notice));
  CHECK_FALSE(pair.client.can_open());
  pair.run();
  pair.answer(1);
  pair.answer(3);
  pair.run();
  CHECK(pair.server.is_finished());
  CHECK(pair.client.is_finished());
  CHECK(pair.client_events.text() ==
        "goaway NO_ERROR\ngoaway NO_ERROR\n1 HTTP/2 200  | none | keep | \n1 end\n1 closed NO_ERROR\n3 HTTP/2 200  | none | keep "
        "| \n"
        "3 end\n3 closed NO_ERROR\n");
}

TEST_CASE("an idle draining server is finished after one round trip, a draining client at once") {
  H2Pair pair;
  pair.run();
  pair.server.drain();
  pair.run();
  CHECK(pair.server.is_finished());
  H2Pair other;
  other.run();
  other.client.drain();
  other.run();
  CHECK(other.client.is_finished());
  CHECK(other.server_events.lines == std::vector<std::string>{"goaway NO_ERROR"});
}

TEST_CASE("a lost connection closes every stream on both sides") {
  H2Pair pair;
  pair.get("/a");
  pair.get("/b", true);
  pair.run();
  pair.client.on_eof();
  pair.server.on_eof();
  CHECK(pair.client_events.text() == "3 closed INTERNAL_ERROR\n1 closed INTERNAL_ERROR\n");
  CHECK(pair.server.open_streams() == 0);
  CHECK(pair.server.is_finished());
}

TEST_CASE("a head that is too large gets 431, too large an answer resets") {
  H2Settings settings;
  settings.head_bytes = 400;
  H2Pair pair(settings, settings);
  RequestHead head;
  head.method = "GET";
  head.authority = "a";
  head.path = "/";
  head.headers.append("x", std::string(400, 'x'));
  REQUIRE(pair.client.submit_request(head, false));
  pair.run();
  CHECK(pair.client_events.text() == "1 HTTP/2 431  | none | keep | \n1 end\n1 closed NO_ERROR\n");
  CHECK(pair.server_events.text().empty());
  pair.client_events.lines.clear();
  pair.get();
  pair.run();
  ResponseHead large;
  large.status = 200;
  large.headers.append("x", std::string(400, 'x'));
  REQUIRE(pair.server.submit_response(*pair.server_events.streams.at(3), large, false));
  pair.run();
  CHECK(pair.client_events.text() == "3 closed ENHANCE_YOUR_CALM\n");
}

TEST_CASE("too many fields are too large as well") {
  H2Settings settings;
  settings.fields = 3;
  H2Pair pair({}, settings);
  RequestHead head;
  head.method = "GET";
  head.authority = "a";
  head.path = "/";
  for (const char* name : {"a", "b", "c"}) head.headers.append(name, "1");
  REQUIRE(pair.client.submit_request(head, false));
  head.headers.append("d", "1");
  REQUIRE(pair.client.submit_request(head, false));
  pair.run();
  CHECK(pair.server_events.lines.size() == 2);
  CHECK(pair.client_events.lines.front() == "3 HTTP/2 431  | none | keep | ");
}

TEST_CASE("rapid reset ends the connection; the same in peace does not") {
  H2Settings settings;
  settings.reset_burst = 10;
  H2Pair pair({}, settings);
  for (int i = 0; i < 50; ++i) {
    H2Stream& stream = pair.get();
    pair.run();
    if (i % 2 == 0) {
      pair.client.reset(stream, H2Code::cancel);
    } else {
      pair.answer(stream.id);
    }
    pair.run();
  }
  CHECK_FALSE(pair.server.is_finished());
  for (int i = 0; i < 12 && pair.client.can_open(); ++i) {
    H2Stream& stream = pair.get();
    pair.run();
    pair.client.reset(stream, H2Code::cancel);
    pair.run();
  }
  CHECK(pair.server.is_finished());
  CHECK(pair.client_events.lines.back() == "goaway ENHANCE_YOUR_CALM");
}

TEST_CASE("streams that are refused for their heads count as rapid resets") {
  H2Settings settings;
  settings.reset_burst = 10;
  Recorder events;
  H2Session server(H2Role::server, settings, events);
  std::string bytes = kPreface;
  for (std::uint32_t i = 0; i < 12; ++i) bytes += frame(1, 5, 2 * i + 1, get(literal(":authority", "u@a")));
  (void)server.feed(bytes);
  std::string out;
  server.take(out);
  (void)server.feed(frame(6, 0, 0, "12345678"));
  CHECK(server.is_finished());
}

TEST_CASE("floods of control frames end the connection, pings beside traffic don't") {
  H2Settings settings;
  settings.control_frame_burst = 100;
  for (const std::string& one : {frame(6, 0, 0, "12345678"), frame(4, 0, 0, ""), frame(2, 0, 1, std::string(5, '\0')),
                                 frame(8, 0, 0, std::string("\0\0\0\1", 4)), frame(0x77, 0, 0, "x")}) {
    Recorder events;
    H2Session server(H2Role::server, settings, events);
    REQUIRE(server.feed(kPreface));
    bool refused = false;
    std::string out;
    for (int i = 0; i < 200 && !refused; ++i) {
      refused = !server.feed(one);
      server.take(out, SIZE_MAX);
    }
    CHECK(refused);
    CHECK(server.is_finished());
  }
  H2Pair pair({}, settings);
  for (int i = 0; i < 500; ++i) {
    pair.client.ping(1);
    H2Stream& stream = pair.get();
    pair.run();
    pair.answer(stream.id);
    pair.run();
  }
  CHECK_FALSE(pair.server.is_finished());
}

TEST_CASE("a peer that opens streams beyond the limit and never reads is cut off") {
  H2Settings settings;
  settings.max_concurrent_streams = 1;
  Recorder events;
  H2Session server(H2Role::server, settings, events);
  REQUIRE(server.feed(kPreface));
  std::string out;
  server.take(out);  // our SETTINGS, which the peer never acknowledges: nghttp2 then refuses stream by stream
  bool refused = false;
  for (std::uint32_t i = 0; i < 2000 && !refused; ++i)
    refused = !server.feed(frame(1, 5, 2 * i + 1, get(literal(":authority", "a"))));
  CHECK(refused);
  CHECK(events.streams.size() == 1);
}

TEST_CASE("the flood guard follows frames through any cut and forgives") {
  FloodGuard guard(10, 4);
  std::string bytes = "pref" + frame(0, 0, 1, "payload");
  for (int i = 0; i < 10; ++i) bytes += frame(6, 0, 0, "12345678");
  for (char c : bytes) CHECK(guard.feed({&c, 1}));
  guard.forgive();
  for (int i = 0; i < 5; ++i) CHECK(guard.feed(frame(0, 0, 1, "")));
  CHECK_FALSE(guard.feed(frame(9, 0, 1, "x")));
}

TEST_CASE("what is not HTTP/2 fails and says so") {
  Recorder events;
  H2Session server(H2Role::server, {}, events);
  weir::Result<> result = server.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE_FALSE(result);
  CHECK(result.error().code() == weir::ErrorCode::protocol);
  CHECK_FALSE(server.feed("more"));
}
