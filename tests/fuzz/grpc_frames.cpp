// SPDX-License-Identifier: Apache-2.0
// gRPC frames and the text of statuses. Input: one byte for cuts, then the bytes of a stream.
#include "http/grpc.h"

#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;

namespace {

std::string read(std::string_view bytes, const std::vector<std::size_t>& cuts, std::string& written) {
  GrpcReader reader(200);
  std::string text;
  std::size_t begin = 0;
  written.clear();
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    std::size_t end = i < cuts.size() ? cuts[i] : bytes.size();
    reader.feed(bytes.substr(begin, end - begin));
    begin = end;
    for (;;) {
      GrpcReader::Next next = reader.next();
      if (next.state == GrpcReader::Next::State::need_more) break;
      if (next.state == GrpcReader::Next::State::error) return text + next.error.to_text();
      text.append("[").append(next.message).append("]");
      write_grpc_frame(written, next.message);
    }
  }
  return text + (reader.is_partial() ? "partial" : "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes = text_of(data + 1, size - 1);
  std::string written;
  std::string ignored;
  std::string whole = read(bytes, {}, written);
  require_same("whole and cut", whole, read(bytes, cuts_of(data[0], bytes.size()), ignored));
  require_same("read and written", written, std::string(bytes.substr(0, written.size())));
  std::string text(bytes);
  require_same("message and its encoding", text, decode_grpc_message(encode_grpc_message(text)));
  (void)decode_grpc_message(text);
  (void)parse_grpc_timeout(text);
  (void)parse_grpc_code(text);
  return 0;
}
