// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 session fed by a hostile peer: no crash, bounded output, the same events however the bytes are cut.
// Input: one byte for role and cuts, then what the peer sends (for a server behind the preface).
#include "http/h2_testing.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;

namespace {

/// Answers every request, echoes bodies, resets some.
struct Answerer : testing::Recorder {
  bool is_server = true;
  void on_request(H2Stream& stream, RequestHead&& head) override {
    bool has_body = head.framing != Framing::none;
    Recorder::on_request(stream, std::move(head));
    if (stream.id % 16 == 15) return session->reset(stream, H2Code::cancel);
    ResponseHead response;
    response.status = 200;
    response.headers.append("x", "y");
    (void)session->submit_response(stream, response, has_body);
  }
  void on_data(H2Stream& stream, std::string_view bytes) override {
    received += bytes.size();
    session->consume(stream, bytes.size());
    if (is_server) send(stream, bytes, false);
  }
  void on_end(H2Stream& stream) override {
    Recorder::on_end(stream);
    if (is_server) send(stream, "", true);
  }
};

std::string run(H2Role role, std::string_view bytes, const std::vector<std::size_t>& cuts) {
  H2Settings settings;
  settings.max_concurrent_streams = 20;
  settings.head_bytes = 2000;
  settings.fields = 20;
  settings.extended_connect = true;
  settings.control_frame_burst = 50;
  settings.reset_burst = 10;
  Answerer events;
  events.is_server = role == H2Role::server;
  H2Session session(role, settings, events);
  events.session = &session;
  RequestHead head;
  head.method = "GET";
  head.scheme = "http";
  head.authority = "a";
  head.path = "/";
  if (role == H2Role::client) {
    for (int i = 0; i < 3; ++i) (void)session.submit_request(head, i == 1);
    std::string out;
    session.take(out, SIZE_MAX);
  }
  bool good = role == H2Role::client || session.feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").has_value();
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= cuts.size() && good; ++i) {
    std::size_t end = i < cuts.size() ? cuts[i] : bytes.size();
    good = session.feed(bytes.substr(begin, end - begin)).has_value();
    begin = end;
  }
  std::string out;
  session.take(out, 1 << 20);
  session.forgive();
  session.drain();
  session.take(out, 1 << 20);
  session.on_eof();
  if (session.open_streams() != 0) std::abort();
  // Not how much was received: of a DATA frame beyond content-length nghttp2 passes on what fits, by pieces.
  // Nor what came behind a GOAWAY: nghttp2 reads to the end of the piece.
  std::string text = events.text();
  return text.substr(0, text.find("goaway")) + (good ? " good" : " bad");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  H2Role role = (data[0] & 1) != 0 ? H2Role::client : H2Role::server;
  std::string_view bytes = text_of(data + 1, size - 1);
  std::string whole = run(role, bytes, {});
  // The flood guard judges a piece before nghttp2 sees it: how much of a flood is served depends on the cut, the verdict does
  // not.
  if (whole.ends_with(" bad")) return 0;
  require_same("whole and cut", whole, run(role, bytes, cuts_of(data[0], bytes.size())));
  return 0;
}
