// SPDX-License-Identifier: Apache-2.0
#include "routing/domain_index.h"

#include <algorithm>

#include "base/text.h"

namespace weir::routing {

namespace {

std::string_view without_dot(std::string_view host) {
  if (host.size() > 1 && host.back() == '.') host.remove_suffix(1);
  return host;
}

}  // namespace

std::size_t CaselessHash::operator()(std::string_view text) const noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (char c : text) {
    hash ^= static_cast<unsigned char>(to_lower(c));
    hash *= 0x100000001b3U;
  }
  return hash;
}

bool CaselessEqual::operator()(std::string_view a, std::string_view b) const noexcept { return equals_ignore_case(a, b); }

std::string_view without_port(std::string_view authority) {
  std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == authority.size()) return authority;
  std::string_view port = authority.substr(colon + 1);
  if (!std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) return authority;
  // An IPv6 literal without brackets ("fd00::1") has no port.
  std::string_view host = authority.substr(0, colon);
  if (host.find(':') != std::string_view::npos && (host.empty() || host.back() != ']')) return authority;
  return host;
}

bool DomainIndex::Wildcards::add(std::string_view text, int host) {
  auto at = std::find_if(by_length.begin(), by_length.end(), [&](const auto& entry) { return entry.first <= text.size(); });
  if (at == by_length.end() || at->first != text.size()) at = by_length.insert(at, {text.size(), Map{}});
  return at->second.emplace(to_lower(text), host).second;
}

bool DomainIndex::add(std::string_view domain, int host) {
  if (domain == "*") {
    if (any_ >= 0) return false;
    any_ = host;
    return true;
  }
  if (domain.starts_with('*')) return suffixes_.add(without_dot(domain.substr(1)), host);
  if (domain.ends_with('*')) return prefixes_.add(domain.substr(0, domain.size() - 1), host);
  return exact_.emplace(to_lower(without_dot(domain)), host).second;
}

std::pair<int, DomainIndex::How> DomainIndex::find(std::string_view authority) const {
  std::string_view host = without_dot(ignore_port_ ? without_port(authority) : authority);
  if (auto it = exact_.find(host); it != exact_.end()) return {it->second, How::exact};
  for (const auto& [length, map] : suffixes_.by_length) {
    if (length >= host.size()) continue;  // the star stands for at least one character
    if (auto it = map.find(host.substr(host.size() - length)); it != map.end()) return {it->second, How::suffix};
  }
  for (const auto& [length, map] : prefixes_.by_length) {
    if (length >= host.size()) continue;
    if (auto it = map.find(host.substr(0, length)); it != map.end()) return {it->second, How::prefix};
  }
  return any_ >= 0 ? std::pair{any_, How::any} : std::pair{-1, How::none};
}

}  // namespace weir::routing
