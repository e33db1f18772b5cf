// SPDX-License-Identifier: Apache-2.0
#include "http/grpc.h"

#include <doctest/doctest.h>

#include "http/h2_testing.h"

using namespace weir::http;
using namespace weir::http::testing;
using namespace std::chrono_literals;

namespace {

struct ClientLog : GrpcClientStream::Events {
  std::vector<std::string> lines;
  void on_message(std::string_view message) override { lines.push_back("message " + std::string(message)); }
  void on_status(const GrpcStatus& status) override { lines.push_back(status.to_text()); }
};
using Lines = std::vector<std::string>;

struct EchoLog {
  Lines lines;
  GrpcServerStream* stream = nullptr;
};

/// Answers each message with itself; ends when the client does, or at "fail", "quit".
struct Echo : GrpcHandler {
  Echo(EchoLog& log_, GrpcServerStream& stream_) : log(log_), stream(stream_) { log.stream = &stream; }
  EchoLog& log;
  GrpcServerStream& stream;
  void on_message(std::string_view message) override {
    log.lines.push_back("message " + std::string(message.substr(0, 20)));
    if (message == "fail") return stream.finish({GrpcCode::not_found, "no such thing: \xc3\xa9 100%"});
    stream.send(message);
    if (message == "quit") stream.finish({});
  }
  void on_half_close() override {
    log.lines.push_back("half-close");
    stream.finish({});
  }
  void on_closed() override { log.lines.push_back("closed"); }
};

struct Fixture {
  EchoLog log;
  ClientLog events;
  GrpcMethods methods{{"/test.Echo/Talk", [this](GrpcServerStream& stream) { return std::make_unique<Echo>(log, stream); }},
                      {"/test.Echo/Metadata", [](GrpcServerStream& stream) -> std::unique_ptr<GrpcHandler> {
                         stream.finish({GrpcCode::ok, std::string(stream.headers().get("x-key").value_or("none"))});
                         return nullptr;
                       }}};
  GrpcServerConnection server{{}, methods};
  GrpcClientStream client;
  explicit Fixture(std::string path = "/test.Echo/Talk", std::size_t max = 64 * 1024 * 1024)
      : client({.path = std::move(path), .authority = "a", .metadata = {{"x-key", "v"}}, .max_message_bytes = max}, events) {}
  void run(std::size_t piece = 65536) { pump(client, server, piece); }
};

}  // namespace

TEST_CASE("messages go both ways, whole or byte by byte, and the status comes last") {
  for (std::size_t piece : {65536u, 1u, 7u}) {
    Fixture f;
    f.client.send("one");
    f.client.send("");
    f.run(piece);
    CHECK(f.events.lines == Lines{"message one", "message "});
    f.client.send("three");
    f.client.finish();
    f.client.send("dropped");
    f.run(piece);
    CHECK(f.events.lines == Lines{"message one", "message ", "message three", "OK"});
    CHECK(f.log.lines == Lines{"message one", "message ", "message three", "half-close", "closed"});
    CHECK(f.client.is_finished());
    CHECK(f.server.open_calls() == 0);
  }
}

TEST_CASE("a server may push without being asked") {
  Fixture f;
  f.run();
  REQUIRE(f.log.stream != nullptr);
  CHECK_FALSE(f.server.wants_write());
  f.log.stream->send("news");
  CHECK(f.server.wants_write());
  CHECK(f.log.stream->queued_bytes() == 9);
  f.run();
  CHECK(f.log.stream->queued_bytes() == 0);
  CHECK(f.events.lines == Lines{"message news"});
}

TEST_CASE("a message larger than all windows arrives whole, in both directions") {
  Fixture f;
  std::string large(5 * 1024 * 1024 / 2, 'x');
  f.client.send(large);
  f.run(10000);
  REQUIRE(f.events.lines.size() == 1);
  CHECK(f.events.lines[0] == "message " + large);
}

TEST_CASE("a status with a message survives its encoding") {
  Fixture f;
  f.client.send("fail");
  f.client.send("never seen");
  f.run();
  CHECK(f.events.lines == Lines{"NOT_FOUND: no such thing: \xc3\xa9 100%"});
  CHECK(f.log.lines == Lines{"message fail", "closed"});
  CHECK(f.client.is_finished());
}

TEST_CASE("a server may end first: messages, then the status") {
  Fixture f;
  f.client.send("quit");
  f.run();
  CHECK(f.events.lines == Lines{"message quit", "OK"});
  CHECK(f.log.lines == Lines{"message quit", "closed"});
}

TEST_CASE("an unknown method is UNIMPLEMENTED") {
  Fixture f("/test.Echo/Nothing");
  f.run();
  CHECK(f.events.lines == Lines{"UNIMPLEMENTED: unknown method /test.Echo/Nothing"});
}

TEST_CASE("metadata reaches the handler; a maker may finish the call and make no handler") {
  Fixture f("/test.Echo/Metadata");
  f.run();
  CHECK(f.events.lines == Lines{"OK: v"});
}

TEST_CASE("a message beyond the limit is RESOURCE_EXHAUSTED at the side that receives it") {
  Fixture server_limit;
  server_limit.client.send(std::string(4 * 1024 * 1024 + 1, 'x'));
  server_limit.run();
  CHECK(server_limit.events.lines == Lines{"RESOURCE_EXHAUSTED: message of 4194305 bytes is larger than 4194304"});
  Fixture client_limit("/test.Echo/Talk", 10);
  client_limit.client.send("twelve bytes");
  client_limit.run();
  CHECK(client_limit.events.lines == Lines{"RESOURCE_EXHAUSTED: message of 12 bytes is larger than 10"});
  CHECK(client_limit.log.lines == Lines{"message twelve bytes", "closed"});
}

TEST_CASE("a lost connection is UNAVAILABLE to the client and closes every call of the server") {
  Fixture f;
  f.client.send("one");
  f.run();
  f.client.on_eof();
  f.client.on_eof();
  f.server.on_eof();
  CHECK(f.events.lines == Lines{"message one", "UNAVAILABLE: connection closed"});
  CHECK(f.log.lines == Lines{"message one", "closed"});
  CHECK(f.client.is_finished());
  CHECK_FALSE(f.client.wants_write());
}

TEST_CASE("a server that is not HTTP/2 is UNAVAILABLE") {
  Fixture f;
  (void)f.client.feed("HTTP/1.1 400 Bad Request\r\n\r\n");
  f.client.on_eof();
  REQUIRE(f.events.lines.size() == 1);
  CHECK(f.events.lines[0].starts_with("UNAVAILABLE"));
}

TEST_CASE("cancel tells us at once and the server soon") {
  Fixture f;
  f.client.send("one");
  f.run();
  f.client.cancel();
  CHECK(f.events.lines.back() == "CANCELLED: cancelled by us");
  f.run();
  CHECK(f.log.lines == Lines{"message one", "closed"});
  CHECK(f.client.is_finished());
}

TEST_CASE("a draining server lets a call go on and is finished when it ends") {
  Fixture f;
  f.run();
  f.server.drain();
  f.run();
  CHECK_FALSE(f.server.is_finished());
  f.client.send("still here");
  f.run();
  CHECK(f.events.lines == Lines{"message still here"});
  f.client.finish();
  f.run();
  CHECK(f.events.lines.back() == "OK");
  CHECK(f.server.is_finished());
}

TEST_CASE("pings are answered both ways") {
  Fixture f;
  f.client.ping();
  f.server.ping();
  f.run();
  CHECK(f.client.pongs() == 1);
  CHECK(f.server.pongs() == 1);
}

TEST_CASE("what is not gRPC gets an HTTP answer") {
  GrpcMethods methods;
  GrpcServerConnection server{{}, methods};
  Recorder events;
  H2Session client(H2Role::client, {}, events);
  events.session = &client;
  RequestHead head;
  head.method = "GET";
  head.authority = "a";
  head.path = "/";
  REQUIRE(client.submit_request(head, false));
  head.method = "POST";
  head.headers.append("content-type", "application/json");
  REQUIRE(client.submit_request(head, false));
  pump(client, server);
  CHECK(events.text() ==
        "1 HTTP/2 405  | none | keep | \n1 end\n1 closed NO_ERROR\n3 HTTP/2 415  | none | keep | \n3 end\n3 closed NO_ERROR\n");
}

TEST_CASE("an answer that is not gRPC becomes a status by its HTTP code") {
  for (auto [http_status, name] :
       {std::pair{503, "UNAVAILABLE"}, {404, "UNIMPLEMENTED"}, {401, "UNAUTHENTICATED"}, {200, "UNKNOWN"}}) {
    ClientLog log;
    GrpcClientStream client({.path = "/x", .authority = "a"}, log);
    Recorder events;
    H2Session server(H2Role::server, {}, events);
    events.session = &server;
    pump(client, server);
    ResponseHead head;
    head.status = static_cast<std::uint16_t>(http_status);
    head.headers.append("content-type", "text/html");
    REQUIRE(server.submit_response(*events.streams.at(1), head, true));
    events.send(*events.streams.at(1), "<html>", true);
    pump(client, server);
    CHECK(log.lines ==
          Lines{std::string(name) + ": HTTP status " + std::to_string(http_status) + ", content-type \"text/html\""});
  }
}

TEST_CASE("frames: prefix, limit, compressed flag") {
  std::string bytes;
  write_grpc_frame(bytes, "abc");
  CHECK(bytes == std::string("\0\0\0\0\3abc", 8));
  GrpcReader reader(10);
  reader.feed(bytes.substr(0, 6));
  CHECK(reader.next().state == GrpcReader::Next::State::need_more);
  CHECK(reader.is_partial());
  reader.feed(bytes.substr(6));
  CHECK(reader.next().message == "abc");
  CHECK_FALSE(reader.is_partial());
  for (auto [frame, code] : {std::pair{std::string("\1\0\0\0\0", 5), GrpcCode::unimplemented},
                             {std::string("\2\0\0\0\0", 5), GrpcCode::internal},
                             {std::string("\0\0\0\0\13", 5), GrpcCode::resource_exhausted},
                             {std::string("\0\377\377\377\377", 5), GrpcCode::resource_exhausted}}) {
    GrpcReader bad(10);
    bad.feed(frame);
    CHECK(bad.next().error.code == code);
  }
}

TEST_CASE("codes, messages and timeouts as text") {
  CHECK(to_text(GrpcCode::unavailable) == "UNAVAILABLE");
  CHECK(parse_grpc_code("UNAVAILABLE") == GrpcCode::unavailable);
  CHECK(parse_grpc_code("16") == GrpcCode::unauthenticated);
  CHECK_FALSE(parse_grpc_code("17"));
  CHECK_FALSE(parse_grpc_code("unavailable"));
  CHECK(encode_grpc_message("a b%\n\xff") == "a b%25%0A%FF");
  CHECK(decode_grpc_message("a%20b%2") == "a b%2");
  CHECK(decode_grpc_message("%zz%41%") == "%zzA%");
  CHECK(is_grpc_content_type("application/grpc+proto"));
  CHECK(is_grpc_content_type("Application/gRPC; charset=utf-8"));
  CHECK_FALSE(is_grpc_content_type("application/grpc-web"));
  CHECK(parse_grpc_timeout("100m") == 100ms);
  CHECK(parse_grpc_timeout("99999999H") > 24h * 365);
  CHECK_FALSE(parse_grpc_timeout("123456789S"));
  CHECK_FALSE(parse_grpc_timeout("5"));
  CHECK_FALSE(parse_grpc_timeout("5x"));
  HeaderMap trailers;
  CHECK_FALSE(grpc_status_of(trailers));
  trailers.append("grpc-status", "99");
  trailers.append("grpc-message", "odd%21");
  CHECK(grpc_status_of(trailers)->to_text() == "UNKNOWN: odd!");
}
