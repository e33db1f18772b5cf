// SPDX-License-Identifier: Apache-2.0
// Host and :authority values (RFC 3986, 3.2 without userinfo). Private to this room.
#pragma once

#include <optional>
#include <string_view>

namespace weir::http {

struct Authority {
  std::string_view host;  ///< with its brackets, if IPv6
  std::string_view port;  ///< digits, 0 to 65535; "" if none
};

/// nullopt: empty host, userinfo, a character that no host name has, a bad bracket or port.
std::optional<Authority> parse_authority(std::string_view text);

/// The same server: hosts without case, a missing port is the scheme's default ("" = no default).
bool same_authority(const Authority& a, const Authority& b, std::string_view scheme);

}  // namespace weir::http
