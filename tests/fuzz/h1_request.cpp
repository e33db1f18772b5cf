// SPDX-License-Identifier: Apache-2.0
// Request heads: the same result for every cut; what is accepted is written and read back the same.
// Input: one byte for cuts and limits, then the head.
#include "http/h1_testing.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes = text_of(data + 1, size - 1);
  Limits limits;
  if ((data[0] & 1) != 0)
    limits = {.head_bytes = 100, .fields = 4, .target_bytes = 20, .chunk_line_bytes = 16, .trailer_bytes = 30};
  std::string fields;
  std::string whole = testing::request_in_pieces(bytes, {}, limits, &fields);
  std::string cut_fields;
  std::string cut = testing::request_in_pieces(bytes, cuts_of(data[0], bytes.size()), limits, &cut_fields);
  require_same("whole and cut", whole + fields, cut + cut_fields);
  if (bytes.size() < 300) {
    std::string byte_fields;
    std::string bytewise = testing::request_in_pieces(bytes, testing::every_byte(bytes.size()), limits, &byte_fields);
    require_same("whole and byte by byte", whole + fields, bytewise + byte_fields);
  }
  if (fields.empty()) return 0;
  RequestHead head;
  std::size_t resume = 0;
  parse_request_head(bytes, limits, resume, head);
  std::string written;
  write_request_head(written, head.method, head.target, head.version, head.headers);
  // Fields are written with ": ", which may be a byte more each than was read.
  limits.head_bytes += limits.fields;
  std::string again_fields;
  std::string again = testing::request_in_pieces(written, {}, limits, &again_fields);
  require_same("read and written", whole + testing::to_text(head.headers),
               again + again_fields.substr(0, again_fields.rfind(" @")));
  return 0;
}
