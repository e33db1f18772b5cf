// SPDX-License-Identifier: Apache-2.0
// Response heads: the same result for every cut; what is accepted is written and read back the same.
// Input: one byte for cuts, limits and the request's method, then the head.
#include "http/h1_testing.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "CONNECT", "POST"};
  std::string_view method = kMethods[data[0] >> 1 & 3];
  std::string_view bytes = text_of(data + 1, size - 1);
  Limits limits;
  if ((data[0] & 1) != 0)
    limits = {.head_bytes = 100, .fields = 4, .target_bytes = 20, .chunk_line_bytes = 16, .trailer_bytes = 30};
  std::string fields;
  std::string whole = testing::response_in_pieces(bytes, method, {}, limits, &fields);
  std::string cut_fields;
  std::string cut = testing::response_in_pieces(bytes, method, cuts_of(data[0], bytes.size()), limits, &cut_fields);
  require_same("whole and cut", whole + fields, cut + cut_fields);
  if (bytes.size() < 300) {
    std::string bytewise = testing::response_in_pieces(bytes, method, testing::every_byte(bytes.size()), limits);
    require_same("whole and byte by byte", whole, bytewise);
  }
  if (fields.empty()) return 0;
  ResponseHead head;
  std::size_t resume = 0;
  parse_response_head(bytes, method, limits, resume, head);
  std::string written;
  write_response_head(written, head.status, head.reason, head.version, head.headers);
  limits.head_bytes += limits.fields + 1;
  std::string again_fields;
  std::string again = testing::response_in_pieces(written, method, {}, limits, &again_fields);
  require_same("read and written", whole + testing::to_text(head.headers),
               again + again_fields.substr(0, again_fields.rfind(" @")));
  return 0;
}
