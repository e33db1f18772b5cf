// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/result.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/utf8.h"

namespace weir::cni {

namespace json = boost::json;

std::string error_json(const Failure& failure, std::string_view version, std::string_view trace) {
  std::string details = without_controls(failure.details);
  if (!trace.empty()) details += fmt::format("{}trace {}", details.empty() ? "" : "; ", trace);
  json::object object;
  object["cniVersion"] = json::string_view(version.data(), version.size());
  object["code"] = static_cast<int>(failure.code);
  object["msg"] = without_controls(failure.message);
  if (!details.empty()) object["details"] = details;
  return compact_json(object);
}

std::string version_json(std::string_view version) {
  json::array all;
  for (std::string_view supported : supported_versions()) all.emplace_back(json::string_view(supported.data(), supported.size()));
  json::object object;
  object["cniVersion"] = json::string_view(version.data(), version.size());
  object["supportedVersions"] = std::move(all);
  return compact_json(object);
}

std::string add_json(const Request& request) {
  if (!request.prev_result) {
    const std::string version = json_quote(request.version);
    // Before 0.3.0 a result has other lists, none of which must be there.
    return is_at_least(request.version, "0.3.0") ? fmt::format(R"({{"cniVersion":{},"interfaces":[],"ips":[]}})", version)
                                                 : fmt::format(R"({{"cniVersion":{}}})", version);
  }
  auto parsed = parse_json(*request.prev_result);
  if (!parsed || !parsed->is_object()) return *request.prev_result;  // it was an object when it was read
  json::object& result = parsed->as_object();
  const json::value* version = result.if_contains("cniVersion");
  if (version != nullptr && version->is_string() && version->as_string() == request.version) return *request.prev_result;
  result["cniVersion"] = request.version;
  return compact_json(result);
}

}  // namespace weir::cni
