// SPDX-License-Identifier: Apache-2.0
// Bodies: the same payload, trailers and end for every cut; what is complete is written as chunks and read back the same.
// Input: one byte for framing, limits and cuts, then the body.
#include "http/h1_testing.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes = text_of(data + 1, size - 1);
  Framing framing = (data[0] & 6) == 0 ? Framing::length : (data[0] & 6) == 2 ? Framing::until_close : Framing::chunked;
  std::uint64_t length = data[0] >> 3;
  Limits limits;
  if ((data[0] & 1) != 0)
    limits = {.head_bytes = 100, .fields = 4, .target_bytes = 20, .chunk_line_bytes = 16, .trailer_bytes = 30};
  std::string whole = testing::body_in_pieces(bytes, {}, framing, length, limits);
  require_same("whole and cut", whole, testing::body_in_pieces(bytes, cuts_of(data[0], bytes.size()), framing, length, limits));
  if (bytes.size() < 300) {
    require_same("whole and byte by byte", whole,
                 testing::body_in_pieces(bytes, testing::every_byte(bytes.size()), framing, length, limits));
  }
  if (framing != Framing::chunked) return 0;
  BodyReader reader(framing, length, limits);
  std::string payload;
  std::string written;
  std::size_t at = 0;
  while (!reader.done()) {
    BodyReader::Step step = reader.next(bytes.substr(at));
    if (step.error || step.consumed == 0) return 0;
    at += step.consumed;
    payload += step.payload;
    if (step.payload.empty()) continue;
    write_chunk_size(written, step.payload.size());
    written.append(step.payload).append("\r\n");
  }
  write_last_chunk(written, reader.trailers());
  limits.trailer_bytes += limits.fields;
  require_same("read and written", payload + "|" + testing::to_text(reader.trailers()) + "|done",
               testing::body_in_pieces(written, {}, framing, 0, limits));
  return 0;
}
