// SPDX-License-Identifier: Apache-2.0
// What the fields of a head say about its body and connection. Private to this room.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/h1.h"

namespace weir::http {

struct FieldFacts {
  std::string_view host, content_length, transfer_encoding, upgrade, expect;
  std::uint32_t hosts = 0, content_lengths = 0, transfer_encodings = 0, upgrades = 0;
  bool close = false, keep_alive = false, connection_upgrade = false;
  bool connection_malformed = false;
  bool connection_names_framing = false;  ///< "Connection: content-length" would let a proxy drop what frames the message
};
FieldFacts collect_facts(const HeaderMap& headers);

/// Framing from Transfer-Encoding and Content-Length (RFC 9112, 6). `framing` none: neither is there.
struct BodyFraming {
  Framing framing = Framing::none;
  std::uint64_t length = 0;
  ParseError error;  ///< detail "" if there is none
  bool failed() const { return *error.detail != '\0'; }
};
BodyFraming body_framing(const FieldFacts& facts, Version version);

/// Calls `use(token)` for each element of a comma-separated list; empty ones are left out.
template <class Use>
void for_each_listed(std::string_view list, Use use) {
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    std::string_view element = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (!element.empty() && (element.front() == ' ' || element.front() == '\t')) element.remove_prefix(1);
    while (!element.empty() && (element.back() == ' ' || element.back() == '\t')) element.remove_suffix(1);
    if (!element.empty()) use(element);
  }
}

}  // namespace weir::http
