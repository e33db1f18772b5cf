// SPDX-License-Identifier: Apache-2.0
// Two ends of a connection in memory: for tests and fuzz targets only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_testing.h"
#include "http/h2.h"

namespace weir::http::testing {

/// Moves bytes both ways, at most `piece` a time, until nobody wants to write or `rounds` are over. Ends: feed, take,
/// wants_write.
template <class A, class B>
void pump(A& a, B& b, std::size_t piece = 65536, int rounds = 100000) {
  auto carry = [&](auto& from, auto& to) {
    std::string bytes;
    from.take(bytes, piece);
    for (std::size_t at = 0; at < bytes.size(); at += piece) (void)to.feed(std::string_view(bytes).substr(at, piece));
    return !bytes.empty();
  };
  while (rounds-- > 0) {
    bool moved = carry(a, b);
    moved = carry(b, a) || moved;
    if (!moved) return;
  }
}

/// Writes down what happens, and sends what it was told to.
struct Recorder : H2Events {
  H2Session* session = nullptr;
  std::vector<std::string> lines;
  std::map<std::int32_t, H2Stream*> streams;
  struct Body {
    std::string bytes;
    bool end = false;
    bool has_trailers = false;
    HeaderMap trailers;
    std::string lent;
  };
  std::map<std::int32_t, Body> bodies;
  bool consumes = true;
  bool logs_data = true;
  std::size_t received = 0;

  void line(H2Stream& stream, std::string text) { lines.push_back(std::to_string(stream.id) + " " + std::move(text)); }
  std::string text() const {
    std::string all;
    for (const std::string& one : lines) all += one + "\n";
    return all;
  }
  /// More body for a stream.
  void send(H2Stream& stream, std::string_view bytes, bool end) {
    bodies[stream.id].bytes += bytes;
    bodies[stream.id].end = end;
    session->resume(stream);
  }

  void on_request(H2Stream& stream, RequestHead&& head) override {
    streams[stream.id] = &stream;
    line(stream, to_text(head) + " | " + to_text(head.headers));
  }
  void on_response(H2Stream& stream, ResponseHead&& head) override {
    streams[stream.id] = &stream;
    line(stream, to_text(head) + " | " + to_text(head.headers));
  }
  void on_data(H2Stream& stream, std::string_view bytes) override {
    received += bytes.size();
    if (logs_data) line(stream, "data " + std::string(bytes));
    if (consumes) session->consume(stream, bytes.size());
  }
  void on_trailers(H2Stream& stream, HeaderMap&& trailers) override { line(stream, "trailers " + to_text(trailers)); }
  void on_end(H2Stream& stream) override { line(stream, "end"); }
  void on_close(H2Stream& stream, H2Code code) override {
    line(stream, "closed " + std::string(http::to_text(code)));
    streams.erase(stream.id);
    bodies.erase(stream.id);
  }
  void on_goaway(H2Code code, std::string_view) override { lines.push_back("goaway " + std::string(http::to_text(code))); }
  void on_ping_ack(std::uint64_t opaque) override { lines.push_back("pong " + std::to_string(opaque)); }
  H2Pull on_pull(H2Stream& stream, std::size_t room) override {
    Body& body = bodies[stream.id];
    body.lent = body.bytes.substr(0, room);
    body.bytes.erase(0, body.lent.size());
    H2Pull pulled;
    pulled.bytes = body.lent;
    pulled.trailers = &body.trailers;
    bool last = body.end && body.bytes.empty();
    if (last) {
      pulled.state = body.has_trailers ? H2Pull::State::trailers : H2Pull::State::end;
    } else {
      pulled.state = body.lent.empty() ? H2Pull::State::wait : H2Pull::State::more;
    }
    return pulled;
  }
};

/// A client and a server that are connected.
struct H2Pair {
  Recorder client_events, server_events;
  H2Session client, server;
  explicit H2Pair(const H2Settings& client_settings = {}, const H2Settings& server_settings = {})
      : client(H2Role::client, client_settings, client_events), server(H2Role::server, server_settings, server_events) {
    client_events.session = &client;
    server_events.session = &server;
  }
  void run(std::size_t piece = 65536) { pump(client, server, piece); }

  H2Stream& get(std::string_view path = "/", bool has_body = false) {
    RequestHead head;
    head.method = has_body ? "POST" : "GET";
    head.scheme = "http";
    head.authority = "a";
    head.path = path;
    return **client.submit_request(head, has_body);
  }
  void answer(std::int32_t id, std::uint16_t status = 200, bool has_body = false) {
    ResponseHead head;
    head.status = status;
    (void)server.submit_response(*server_events.streams.at(id), head, has_body);
  }
};

}  // namespace weir::http::testing
