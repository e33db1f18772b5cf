// SPDX-License-Identifier: Apache-2.0
// An own small reader of /etc/passwd and /etc/group, since static programs have no NSS and cloud NSS modules may call out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::kernel {

/// The numeric id in `text` (lines "name:x:ID:…", as passwd(5) and group(5)) for `name`. Lines that don't parse are passed over.
std::optional<std::uint32_t> find_account(std::string_view text, std::string_view name);

/// Asks the files; a missing or unreadable file has nobody in it.
std::optional<std::uint32_t> uid_of(std::string_view user, const std::string& file = "/etc/passwd");
std::optional<std::uint32_t> gid_of(std::string_view group, const std::string& file = "/etc/group");

}  // namespace weir::kernel
