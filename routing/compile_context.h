// SPDX-License-Identifier: Apache-2.0
// What compiling one xDS resource gathers, and the small conversions that many messages share. Internal to the room.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/route_table.h"
#include "xds/proto/core.pb.h"
#include "xds/proto/matcher.pb.h"
#include "xds/proto/type.pb.h"

namespace weir::routing {

/// "virtual_hosts[0].routes" + "name" → "virtual_hosts[0].routes.name".
std::string join_path(const std::string& path, std::string_view name);

class CompileContext {
 public:
  /// `object`: `RouteConfiguration "9080"`.
  CompileContext(std::string object, std::vector<Problem>& unsupported) : object_(std::move(object)), unsupported_(unsupported) {}

  void error(const std::string& path, std::string message, std::string hint = {});
  /// A warning, one for each `what` (the field's full name) of a resource: a field in a thousand routes is said once.
  void not_supported(const std::string& what, const std::string& path, const std::string& message);

  bool failed() const { return !errors_.empty(); }
  const std::vector<Problem>& errors() const { return errors_; }
  const std::string& object() const { return object_; }
  std::vector<Problem>& unsupported() { return unsupported_; }
  /// All errors as one.
  Error to_error() const;

  /// Null (and an error) if RE2 refuses it or its program is too large. Equal patterns share one program.
  std::shared_ptr<const re2::RE2> regex(const std::string& pattern, const std::string& path);

 private:
  std::string object_;
  std::vector<Problem> errors_;
  std::vector<Problem>& unsupported_;
  std::map<std::string, std::size_t> seen_;  // field → index in unsupported_
  std::map<std::string, std::shared_ptr<const re2::RE2>> regexes_;
};

/// Errors (out of range, negative) go to the context; then the duration is 0.
Milliseconds to_milliseconds(const google::protobuf::Duration& duration, const std::string& path, CompileContext& context);
Fraction to_fraction(const envoy::type::v3::FractionalPercent& percent);
std::optional<StringMatcher> to_matcher(const envoy::type::matcher::v3::StringMatcher& matcher, const std::string& path,
                                        CompileContext& context);
std::optional<RegexRewrite> to_rewrite(const envoy::type::matcher::v3::RegexMatchAndSubstitute& rewrite, const std::string& path,
                                       CompileContext& context);
using HeaderOptions = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
using HeaderNames = google::protobuf::RepeatedPtrField<std::string>;
/// `path` ends in "request_headers" or "response_headers".
HeaderEdits to_edits(const HeaderOptions& add, const HeaderNames& remove, const std::string& path, CompileContext& context);

}  // namespace weir::routing
