// SPDX-License-Identifier: Apache-2.0
#include <re2/re2.h>

#include "base/text.h"
#include "routing/domain_index.h"
#include "routing/match.h"

namespace weir::routing {

namespace {

/// Bytes of the path that a prefix rewrite replaces: the prefix, or all of it for exact and regex matches.
std::size_t matched_length(const PathMatch& match, std::string_view bare) {
  bool is_prefix = match.kind == PathMatch::Kind::prefix || match.kind == PathMatch::Kind::segment_prefix;
  return is_prefix ? std::min(match.text.size(), bare.size()) : bare.size();
}

std::string_view rewrite(const Route& route, const std::optional<std::string>& prefix, const std::optional<RegexRewrite>& regex,
                         std::string_view path, std::string& storage) {
  std::string_view bare = without_query(path);
  if (prefix) {
    storage = *prefix;
    storage += path.substr(matched_length(route.path, bare));
    return storage;
  }
  if (regex) {
    storage = bare;
    re2::RE2::GlobalReplace(&storage, *regex->pattern, regex->substitution);
    storage += path.substr(bare.size());
    return storage;
  }
  return path;
}

/// The request's port goes if another is set, or if it is the old scheme's default and the scheme changes (as Envoy does).
std::string_view redirect_host(const Redirect& redirect, const Request& request, std::string_view scheme) {
  if (!redirect.host.empty()) return redirect.host;
  std::string_view host = without_port(request.authority);
  std::string_view port = request.authority.substr(host.size());
  bool is_old_default = (request.scheme == "http" && port == ":80") || (request.scheme == "https" && port == ":443");
  return redirect.port != 0 || (scheme != request.scheme && is_old_default) ? host : request.authority;
}

}  // namespace

std::string_view rewrite_path(const Route& route, const Forward& forward, std::string_view path, std::string& storage) {
  return rewrite(route, forward.prefix_rewrite, forward.regex_rewrite, path, storage);
}

std::string redirect_location(const Route& route, const Redirect& redirect, const Request& request) {
  std::string_view scheme = redirect.scheme.empty() ? request.scheme : redirect.scheme;
  std::string location(scheme);
  location += "://";
  location += redirect_host(redirect, request, scheme);
  bool is_default_port = (scheme == "http" && redirect.port == 80) || (scheme == "https" && redirect.port == 443);
  if (redirect.port != 0 && !is_default_port) location += ':' + std::to_string(redirect.port);
  if (redirect.path) {
    location += *redirect.path;
    bool brings_query = redirect.path->find('?') != std::string::npos;
    if (!brings_query && !redirect.strip_query) location += query_of(request.path);
    return location;
  }
  std::string storage;
  std::string_view path = rewrite(route, redirect.prefix_rewrite, redirect.regex_rewrite, request.path, storage);
  location += redirect.strip_query ? without_query(path) : path;
  return location;
}

}  // namespace weir::routing
