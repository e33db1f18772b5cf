// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_route.h"

namespace weir::routing {

namespace {

PathMatch compile_path(const route_v3::RouteMatch& match, const std::string& path, CompileContext& context) {
  PathMatch compiled;
  compiled.ignore_case = match.has_case_sensitive() && !match.case_sensitive().value();
  switch (match.path_specifier_case()) {
    case route_v3::RouteMatch::kPrefix:
      compiled.kind = PathMatch::Kind::prefix;
      compiled.text = match.prefix();
      break;
    case route_v3::RouteMatch::kPath:
      compiled.kind = PathMatch::Kind::exact;
      compiled.text = match.path();
      break;
    case route_v3::RouteMatch::kPathSeparatedPrefix:
      compiled.kind = PathMatch::Kind::segment_prefix;
      compiled.text = match.path_separated_prefix();
      if (compiled.text.empty() || compiled.text.front() != '/' || compiled.text.back() == '/' ||
          compiled.text.find_first_of("?#") != std::string::npos) {
        context.error(path + ".path_separated_prefix", fmt::format("\"{}\" is no path of segments", printable(compiled.text)),
                      "use /a or /a/b, without a slash at the end");
      }
      break;
    case route_v3::RouteMatch::kSafeRegex:
      compiled.kind = PathMatch::Kind::regex;
      compiled.text = match.safe_regex().regex();
      compiled.regex = context.regex(compiled.text, path + ".safe_regex.regex");
      break;
    case route_v3::RouteMatch::PATH_SPECIFIER_NOT_SET:
      context.error(path, "the match names no path", "use prefix, path, safe_regex or path_separated_prefix");
      break;
    default:  // the audit refuses these
      break;
  }
  return compiled;
}

std::optional<StringMatcher> header_value(const route_v3::HeaderMatcher& matcher, const std::string& path,
                                          CompileContext& context) {
  using Kind = StringMatcher::Kind;
  switch (matcher.header_match_specifier_case()) {
    case route_v3::HeaderMatcher::kExactMatch: return StringMatcher{Kind::exact, false, matcher.exact_match(), {}};
    case route_v3::HeaderMatcher::kPrefixMatch: return StringMatcher{Kind::prefix, false, matcher.prefix_match(), {}};
    case route_v3::HeaderMatcher::kSuffixMatch: return StringMatcher{Kind::suffix, false, matcher.suffix_match(), {}};
    case route_v3::HeaderMatcher::kContainsMatch: return StringMatcher{Kind::contains, false, matcher.contains_match(), {}};
    case route_v3::HeaderMatcher::kSafeRegexMatch: {
      auto regex = context.regex(matcher.safe_regex_match().regex(), path + ".safe_regex_match.regex");
      return StringMatcher{Kind::regex, false, matcher.safe_regex_match().regex(), std::move(regex)};
    }
    case route_v3::HeaderMatcher::kStringMatch: return to_matcher(matcher.string_match(), path + ".string_match", context);
    default: return std::nullopt;  // presence
  }
}

HeaderMatch compile_header(const route_v3::HeaderMatcher& matcher, const std::string& path, CompileContext& context) {
  HeaderMatch compiled;
  compiled.name = to_lower(matcher.name());
  if (compiled.name.empty()) context.error(path + ".name", "the header has no name");
  compiled.value = header_value(matcher, path, context);
  compiled.present = matcher.header_match_specifier_case() != route_v3::HeaderMatcher::kPresentMatch || matcher.present_match();
  compiled.invert = matcher.invert_match();
  compiled.missing_as_empty = matcher.treat_missing_header_as_empty();
  return compiled;
}

QueryMatch compile_query(const route_v3::QueryParameterMatcher& matcher, const std::string& path, CompileContext& context) {
  QueryMatch compiled{matcher.name(), {}};
  if (matcher.name().empty()) context.error(path + ".name", "the query parameter has no name");
  if (matcher.has_string_match()) compiled.value = to_matcher(matcher.string_match(), path + ".string_match", context);
  if (matcher.query_parameter_match_specifier_case() == route_v3::QueryParameterMatcher::kPresentMatch &&
      !matcher.present_match()) {
    context.error(path + ".present_match", "the absence of a query parameter cannot be matched", "use present_match: true");
  }
  return compiled;
}

/// Any gRPC content type, but not application/grpc-web.
HeaderMatch grpc_content_type(const std::string& path, CompileContext& context) {
  static constexpr const char* kPattern = "application/grpc(\\+.*|;.*)?";
  HeaderMatch match;
  match.name = "content-type";
  match.value = StringMatcher{StringMatcher::Kind::regex, false, kPattern, context.regex(kPattern, path)};
  return match;
}

}  // namespace

void compile_match(const route_v3::RouteMatch& match, const std::string& path, CompileContext& context, Route& route) {
  route.path = compile_path(match, path, context);
  for (int i = 0; i < match.headers_size(); ++i) {
    route.headers.push_back(compile_header(match.headers(i), fmt::format("{}.headers[{}]", path, i), context));
  }
  if (match.has_grpc()) route.headers.push_back(grpc_content_type(path + ".grpc", context));
  for (int i = 0; i < match.query_parameters_size(); ++i) {
    route.query.push_back(compile_query(match.query_parameters(i), fmt::format("{}.query_parameters[{}]", path, i), context));
  }
  if (match.has_runtime_fraction()) route.runtime_share = to_fraction(match.runtime_fraction().default_value());
}

}  // namespace weir::routing
