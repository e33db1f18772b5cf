// SPDX-License-Identifier: Apache-2.0
// What a client speaks: more bytes never change a decision, enough of them always bring one, and what the codec takes for a
// request is never passed on as raw TCP (it would go past every rule). Input: a client's first bytes.
#include "proxy/detector.h"

#include "http/h1.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::proxy;
using namespace weir::fuzzing;

namespace {

std::string to_text(const Detection& detection) {
  constexpr const char* kNames[] = {"undecided", "http1", "http2", "tls", "raw"};
  std::string text = kNames[static_cast<int>(detection.protocol)];
  text += " " + detection.server_name;
  for (const std::string& protocol : detection.application_protocols) text += "," + protocol;
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = text_of(data, size);
  Detection whole = detect(bytes);
  for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + cut / 32) {
    Detection part = detect(bytes.substr(0, cut));
    if (part.protocol != Detection::Protocol::undecided) require_same("part and whole", to_text(part), to_text(whole));
  }
  std::string filled(bytes);
  filled.resize(kDetectBytes, 'a');
  if (detect(filled).protocol == Detection::Protocol::undecided) require_same("16 KiB", "undecided", "decided");

  weir::http::RequestHead head;
  std::size_t resume = 0;
  if (weir::http::parse_request_head(bytes, {}, resume, head).state == weir::http::ParseResult::State::done)
    require_same("a request", to_text(whole), "http1 ");
  return 0;
}
