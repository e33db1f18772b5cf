// SPDX-License-Identifier: Apache-2.0
#include "routing/match.h"

#include <algorithm>

#include <re2/re2.h>

#include "base/text.h"

namespace weir::routing {

namespace {

bool same(std::string_view a, std::string_view b, bool ignore_case) { return ignore_case ? equals_ignore_case(a, b) : a == b; }

bool has_prefix(std::string_view value, std::string_view prefix, bool ignore_case) {
  return value.size() >= prefix.size() && same(value.substr(0, prefix.size()), prefix, ignore_case);
}

bool has_suffix(std::string_view value, std::string_view suffix, bool ignore_case) {
  return value.size() >= suffix.size() && same(value.substr(value.size() - suffix.size()), suffix, ignore_case);
}

bool contains(std::string_view value, std::string_view part, bool ignore_case) {
  if (!ignore_case) return value.find(part) != std::string_view::npos;
  return std::search(value.begin(), value.end(), part.begin(), part.end(),
                     [](char a, char b) { return to_lower(a) == to_lower(b); }) != value.end();
}

bool full_match(const re2::RE2& regex, std::string_view value) {
  return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), regex);
}

/// Pseudo-headers have exactly one value; "host" stands for the authority, as HTTP/2 has no such field.
std::optional<std::string_view> pseudo_value(std::string_view name, const Request& request) {
  if (name == ":method") return request.method;
  if (name == ":authority" || name == "host") return request.authority;
  if (name == ":path") return request.path;
  if (name == ":scheme") return request.scheme;
  return std::nullopt;
}

/// Lines of one name are tried one by one, never as one joined value (measured on a real Envoy).
template <class Visit>
bool any_line(std::string_view name, const Request& request, Visit&& visit) {
  if (auto value = pseudo_value(name, request)) return visit(*value);
  if (request.headers == nullptr) return false;
  for (const http::Field& field : *request.headers) {
    if (equals_ignore_case(field.name, name) && visit(field.value)) return true;
  }
  return false;
}

bool is_present(std::string_view name, const Request& request) {
  return any_line(name, request, [](std::string_view) { return true; });
}

}  // namespace

bool StringMatcher::matches(std::string_view value) const {
  switch (kind) {
    case Kind::exact: return same(value, text, ignore_case);
    case Kind::prefix: return has_prefix(value, text, ignore_case);
    case Kind::suffix: return has_suffix(value, text, ignore_case);
    case Kind::contains: return contains(value, text, ignore_case);
    case Kind::regex: return full_match(*regex, value);
  }
  return false;
}

std::string_view without_query(std::string_view path) { return path.substr(0, path.find_first_of("?#")); }

std::string_view query_of(std::string_view path) {
  std::size_t mark = path.find('?');
  return mark == std::string_view::npos ? std::string_view{} : path.substr(mark);
}

std::optional<std::string_view> query_value(std::string_view path, std::string_view name) {
  std::string_view rest = query_of(path);
  rest = rest.substr(0, rest.find('#'));
  while (!rest.empty()) {
    rest.remove_prefix(1);  // "?" or "&"
    std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(pair.size());
    std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name || pair.empty()) continue;
    return equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
  }
  return std::nullopt;
}

bool matches(const PathMatch& match, std::string_view path) {
  std::string_view bare = without_query(path);
  switch (match.kind) {
    case PathMatch::Kind::exact: return same(bare, match.text, match.ignore_case);
    case PathMatch::Kind::prefix: return has_prefix(bare, match.text, match.ignore_case);
    case PathMatch::Kind::segment_prefix:
      return has_prefix(bare, match.text, match.ignore_case) &&
             (bare.size() == match.text.size() || bare[match.text.size()] == '/');
    case PathMatch::Kind::regex: return full_match(*match.regex, bare);
  }
  return false;
}

bool matches(const HeaderMatch& match, const Request& request) {
  if (!match.value) {
    bool present = match.missing_as_empty || is_present(match.name, request);
    return (present == match.present) != match.invert;
  }
  // A missing header fails even an inverted match, unless it counts as empty (Envoy's rule).
  if (!is_present(match.name, request)) return match.missing_as_empty && match.value->matches({}) != match.invert;
  return any_line(match.name, request, [&](std::string_view value) { return match.value->matches(value); }) != match.invert;
}

bool matches(const QueryMatch& match, std::string_view path) {
  auto value = query_value(path, match.name);
  return value && (!match.value || match.value->matches(*value));
}

bool matches(const Route& route, const Request& request, std::uint32_t random) {
  if (route.runtime_share && random >= route.runtime_share->per_million) return false;
  if (!matches(route.path, request.path)) return false;
  for (const HeaderMatch& header : route.headers) {
    if (!matches(header, request)) return false;
  }
  for (const QueryMatch& query : route.query) {
    if (!matches(query, request.path)) return false;
  }
  return true;
}

}  // namespace weir::routing
