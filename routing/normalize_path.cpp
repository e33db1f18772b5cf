// SPDX-License-Identifier: Apache-2.0
// RFC 3986, 5.2.4 and 6.2.2.
#include <algorithm>

#include "routing/route_table.h"

namespace weir::routing {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

/// Nothing in it that normalising could change or refuse: true for nearly every request.
bool is_plain(std::string_view path) {
  char before = 0;
  for (char c : path) {
    if (c == '%' || c == '\\' || c == '#' || (c == '.' && before == '/')) return false;
    before = c;
  }
  return true;
}

/// Appends the path with unreserved escapes decoded and backslashes turned; false on a bad escape, %00 or a fragment.
bool decode(std::string_view path, std::string& out) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '#') return false;
    if (c == '\\') c = '/';
    if (c != '%') {
      out += c;
      continue;
    }
    int high = i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
    int low = i + 2 < path.size() ? hex_digit(path[i + 2]) : -1;
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
    char decoded = static_cast<char>(high * 16 + low);
    if (is_unreserved(decoded)) {
      out += decoded;
    } else {
      out += path.substr(i, 3);
    }
    i += 2;
  }
  return true;
}

/// Resolves "." and ".." segments in place; false if the path climbs above the root. `path` begins with "/".
bool resolve_dots(std::string& path) {
  std::size_t kept = 0;  // path[0, kept) is the result so far, without the slash of the segment to come
  std::size_t at = 0;    // the slash before the segment
  while (at < path.size()) {
    std::size_t end = path.find('/', at + 1);
    if (end == std::string::npos) end = path.size();
    std::string_view segment(path.data() + at + 1, end - at - 1);
    bool is_last = end == path.size();
    if (segment == "..") {
      if (kept == 0) return false;
      kept = path.rfind('/', kept - 1);
    } else if (segment != ".") {
      std::copy(path.begin() + static_cast<std::ptrdiff_t>(at), path.begin() + static_cast<std::ptrdiff_t>(end),
                path.begin() + static_cast<std::ptrdiff_t>(kept));
      kept += end - at;
      at = end;
      continue;
    }
    if (is_last) path[kept++] = '/';  // "/a/." and "/a/b/.." name the directory "/a/"
    at = end;
  }
  path.resize(kept);
  return true;
}

}  // namespace

std::optional<std::string_view> normalize_path(std::string_view path, std::string& storage) {
  if (path.empty() || path == "*") return path;  // CONNECT, OPTIONS *
  std::size_t bare = path.find('?');
  if (bare == std::string_view::npos) bare = path.size();
  if (path[0] == '/' && is_plain(path.substr(0, bare))) return path;
  storage.clear();
  if (!decode(path.substr(0, bare), storage) || storage[0] != '/' || !resolve_dots(storage)) return std::nullopt;
  storage += path.substr(bare);
  return storage == path ? path : std::string_view(storage);
}

}  // namespace weir::routing
