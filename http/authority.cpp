// SPDX-License-Identifier: Apache-2.0
#include "http/authority.h"

#include "base/text.h"
#include "http/chars.h"

namespace weir::http {

namespace {

bool is_hex(char c) { return is_digit(c) || (lowered(c) >= 'a' && lowered(c) <= 'f'); }

bool is_reg_name(std::string_view text) {
  if (!all_in(kRegName, text)) return false;
  for (std::size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1)) {
    if (at + 2 >= text.size() || !is_hex(text[at + 1]) || !is_hex(text[at + 2])) return false;
  }
  return true;
}

/// "[v6]" or "[vN.future]": the characters only; whoever connects parses the address.
bool is_ip_literal(std::string_view text) {
  text = text.substr(1, text.size() - 2);
  if (text.empty()) return false;
  for (char c : text) {
    if (c != ':' && !is_in(kRegName, c)) return false;
  }
  return true;
}

std::string_view port_of(const Authority& authority, std::string_view scheme) {
  if (!authority.port.empty()) return authority.port;
  if (scheme == "http") return "80";
  return scheme == "https" ? "443" : "";
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  Authority result{text, {}};
  std::size_t bracket = text.find(']');
  std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    result.host = text.substr(0, colon);
    result.port = text.substr(colon + 1);
    if (!result.port.empty() && !parse_uint(result.port, 65535)) return std::nullopt;
  }
  if (result.host.empty()) return std::nullopt;
  if (result.host.front() == '[') {
    if (result.host.back() != ']' || !is_ip_literal(result.host)) return std::nullopt;
    return result;
  }
  if (!is_reg_name(result.host)) return std::nullopt;
  return result;
}

bool same_authority(const Authority& a, const Authority& b, std::string_view scheme) {
  return equals_ignore_case(a.host, b.host) && parse_uint(port_of(a, scheme)) == parse_uint(port_of(b, scheme));
}

}  // namespace weir::http
