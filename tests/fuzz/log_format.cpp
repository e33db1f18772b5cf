// SPDX-License-Identifier: Apache-2.0
// Log formats and the values of a hostile client: a record is one line, JSON stays JSON.
// Input: a format up to the first NUL, then the value.
#include "proxy/format.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::proxy;
using namespace weir::fuzzing;

namespace {

std::string line(const Format& format, std::string_view value) {
  StreamInfo info;
  info.path = info.user_agent = info.server_name = info.method = value;
  info.code_details = value;
  http::HeaderMap headers;
  headers.append_view("x", value);
  TimeCache time;
  std::string out;
  format.append(out, {info, &headers, &headers, &headers}, time);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = text_of(data, size);
  std::string_view format = bytes.substr(0, bytes.find('\0'));
  std::string_view value = bytes.substr(std::min(bytes.size(), format.size() + 1));
  static const Format text = *Format::text(kDefaultTextFormat);
  static const Format json = *Format::json(kDefaultJsonFormat);
  std::string text_line = line(text, value), json_line = line(json, value);
  if (text_line.find('\n') != text_line.size() - 1 || json_line.find('\n') != json_line.size() - 1) std::abort();
  std::string plain = line(text, "v");
  auto quotes = [](std::string_view record) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < record.size(); ++i) count += record[i] == '"' && (i == 0 || record[i - 1] != '\\');
    return count;
  };
  if (value.find('\\') == std::string_view::npos && quotes(text_line) != quotes(plain)) require_same("quotes", text_line, plain);
  if (!parse_json(json_line)) require_same("JSON", json_line, "valid");
  if (auto own = Format::text(format)) (void)line(*own, value);
  if (auto own = Format::header(format)) {
    if (format.find_first_of("\r\n") == std::string_view::npos && line(*own, value).find_first_of("\r\n") != std::string::npos)
      std::abort();
  }
  if (auto own = Format::json(format)) {
    if (std::string record = line(*own, value); !parse_json(record)) require_same("own JSON", record, "valid");
  }
  return 0;
}
