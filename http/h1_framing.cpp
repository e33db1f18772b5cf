// SPDX-License-Identifier: Apache-2.0
#include "http/h1_framing.h"

#include "base/text.h"
#include "http/chars.h"

namespace weir::http {

namespace {

void read_connection(std::string_view value, FieldFacts& facts) {
  for_each_listed(value, [&](std::string_view option) {
    if (!is_token(option)) facts.connection_malformed = true;
    if (equals_lower(option, "close")) facts.close = true;
    if (equals_lower(option, "keep-alive")) facts.keep_alive = true;
    if (equals_lower(option, "upgrade")) facts.connection_upgrade = true;
    if (equals_lower(option, "content-length") || equals_lower(option, "host")) facts.connection_names_framing = true;
  });
}

/// Why a Transfer-Encoding is not exactly "chunked": codings we don't know are 501, nonsense is 400 (RFC 9112, 6.1).
ParseError coding_fault(std::string_view value) {
  std::size_t codings = 0;
  std::size_t chunked = 0;
  bool tokens = true;
  bool last_is_chunked = false;
  for_each_listed(value, [&](std::string_view coding) {
    last_is_chunked = equals_lower(coding, "chunked");
    chunked += last_is_chunked ? 1 : 0;
    tokens = tokens && is_token(trim_blanks(coding.substr(0, coding.find(';'))));
    ++codings;
  });
  bool nonsense =
      codings == 0 || !tokens || chunked > 1 || (chunked == 1 && !last_is_chunked) || value.find(",,") != std::string_view::npos;
  if (nonsense || (codings == 1 && chunked == 1)) return {400, "http1.invalid_transfer_encoding"};
  return {501, "http1.unsupported_transfer_encoding"};
}

}  // namespace

FieldFacts collect_facts(const HeaderMap& headers) {
  FieldFacts facts;
  for (const Field& field : headers) {
    // By length first: most fields are none of these.
    switch (field.name.size()) {
      case 4:
        if (equals_lower(field.name, "host") && facts.hosts++ == 0) facts.host = field.value;
        break;
      case 6:
        if (equals_lower(field.name, "expect")) facts.expect = field.value;
        break;
      case 7:
        if (equals_lower(field.name, "upgrade") && facts.upgrades++ == 0) facts.upgrade = field.value;
        break;
      case 10:
        if (equals_lower(field.name, "connection")) read_connection(field.value, facts);
        break;
      case 14:
        if (equals_lower(field.name, "content-length") && facts.content_lengths++ == 0) facts.content_length = field.value;
        break;
      case 17:
        if (equals_lower(field.name, "transfer-encoding") && facts.transfer_encodings++ == 0)
          facts.transfer_encoding = field.value;
        break;
      default: break;
    }
  }
  return facts;
}

BodyFraming body_framing(const FieldFacts& facts, Version version) {
  BodyFraming result;
  auto refuse = [&](std::uint16_t status, const char* detail) {
    result.error = {status, detail};
    return result;
  };
  if (facts.transfer_encodings != 0) {
    if (version == Version::http10) return refuse(400, "http1.transfer_encoding_not_allowed");
    if (facts.content_lengths != 0) return refuse(400, "http1.content_length_and_chunked_not_allowed");
    if (facts.transfer_encodings > 1) return refuse(400, "http1.repeated_transfer_encoding");
    result.framing = Framing::chunked;
    if (!equals_lower(facts.transfer_encoding, "chunked")) result.error = coding_fault(facts.transfer_encoding);
    return result;
  }
  if (facts.content_lengths == 0) return result;
  if (facts.content_lengths > 1) return refuse(400, "http1.repeated_content_length");
  // Nineteen digits fit into 63 bits or are refused; no peer's arithmetic is put to the test.
  std::optional<std::uint64_t> length = parse_uint(facts.content_length, INT64_MAX);
  if (!length || facts.content_length.size() > 19) return refuse(400, "http1.invalid_content_length");
  result.framing = Framing::length;
  result.length = *length;
  return result;
}

}  // namespace weir::http
