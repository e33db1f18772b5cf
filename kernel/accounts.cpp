// SPDX-License-Identifier: Apache-2.0
#include "kernel/accounts.h"

#include <fstream>
#include <sstream>

#include "base/text.h"

namespace weir::kernel {

namespace {

std::string content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace

std::optional<std::uint32_t> find_account(std::string_view text, std::string_view name) {
  for (std::string_view line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 3 || fields[0] != name) continue;
    if (auto id = parse_uint(fields[2], UINT32_MAX - 1)) return static_cast<std::uint32_t>(*id);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> uid_of(std::string_view user, const std::string& file) { return find_account(content(file), user); }
std::optional<std::uint32_t> gid_of(std::string_view group, const std::string& file) {
  return find_account(content(file), group);
}

}  // namespace weir::kernel
