// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/shapes.h"

#include <algorithm>
#include <set>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/ip.h"
#include "base/json.h"

namespace weir::cni::shapes {

namespace {

namespace json = boost::json;

const std::set<std::string, std::less<>> kVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
const std::set<std::int64_t> kReserved = {1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 999};

bool is_address_with_prefix(const json::value* value) {
  if (value == nullptr || !value->is_string()) return false;
  const std::string text(value->as_string());
  return text.find('/') != std::string::npos && Cidr::parse(text).has_value();
}
bool is_optional_address(const json::value* value) {
  return value == nullptr || (value->is_string() && IpAddr::parse(std::string(value->as_string())).has_value());
}
bool is_optional_texts(const json::value* value) {
  return value == nullptr || (value->is_array() && std::all_of(value->as_array().begin(), value->as_array().end(),
                                                               [](const json::value& each) { return each.is_string(); }));
}

std::string wrong_dns(const json::value* dns) {
  if (dns == nullptr) return "";
  if (!dns->is_object()) return "dns is no object";
  for (const char* list : {"nameservers", "search", "options"})
    if (!is_optional_texts(dns->as_object().if_contains(list))) return fmt::format("dns.{} is no list of texts", list);
  return "";
}

std::string wrong_routes(const json::value* routes) {
  if (routes == nullptr) return "";
  if (!routes->is_array()) return "routes is no list";
  for (const json::value& route : routes->as_array())
    if (!route.is_object() || !is_address_with_prefix(route.as_object().if_contains("dst")) ||
        !is_optional_address(route.as_object().if_contains("gw")))
      return "a route has no dst with a prefix, or a gw that is no address";
  return "";
}

/// 0.1.0 and 0.2.0
std::string wrong_early_result(const json::object& result) {
  for (const char* family : {"ip4", "ip6"}) {
    const json::value* ip = result.if_contains(family);
    if (ip == nullptr) continue;
    if (!ip->is_object() || !is_address_with_prefix(ip->as_object().if_contains("ip")))
      return fmt::format("{}.ip has no prefix", family);
    if (!is_optional_address(ip->as_object().if_contains("gateway"))) return fmt::format("{}.gateway is no address", family);
    if (auto wrong = wrong_routes(ip->as_object().if_contains("routes")); !wrong.empty()) return wrong;
  }
  return "";
}

std::string wrong_result(const json::object& result, bool says_family) {
  const json::value* interfaces = result.if_contains("interfaces");
  if (interfaces == nullptr || !interfaces->is_array()) return "interfaces is no list";
  for (const json::value& interface : interfaces->as_array()) {
    const json::value* name = interface.is_object() ? interface.as_object().if_contains("name") : nullptr;
    if (name == nullptr || !name->is_string()) return "an interface without a name";
  }
  const json::value* ips = result.if_contains("ips");
  if (ips == nullptr || !ips->is_array()) return "ips is no list";
  for (const json::value& entry : ips->as_array()) {
    if (!entry.is_object()) return "an entry of ips is no object";
    const json::object& ip = entry.as_object();
    if (!is_address_with_prefix(ip.if_contains("address"))) return "an entry of ips has no address with a prefix";
    if (!is_optional_address(ip.if_contains("gateway"))) return "an entry of ips has a gateway that is no address";
    const json::value* family = ip.if_contains("version");
    if (says_family && (family == nullptr || (*family != "4" && *family != "6"))) return "an entry of ips says no version 4 or 6";
    if (!says_family && family != nullptr) return "an entry of ips says a version, which 1.0.0 took away";
    const json::value* index = ip.if_contains("interface");
    if (index != nullptr && (!index->is_int64() || index->as_int64() < 0 ||
                             static_cast<std::size_t>(index->as_int64()) >= interfaces->as_array().size()))
      return "an entry of ips names no interface of the list";
  }
  return wrong_routes(result.if_contains("routes"));
}

std::string wrong_error(const json::object& error) {
  for (const auto& [key, value] : error)
    if (key != "cniVersion" && key != "code" && key != "msg" && key != "details")
      return fmt::format("an error has no {}", std::string(key));
  const json::value *code = error.if_contains("code"), *msg = error.if_contains("msg"), *details = error.if_contains("details");
  if (code == nullptr || !code->is_int64()) return "code is no number";
  if (code->as_int64() < 100 ? !kReserved.contains(code->as_int64()) : code->as_int64() > 999)
    return fmt::format("code {} is nobody's", code->as_int64());
  if (msg == nullptr || !msg->is_string() || msg->as_string().empty()) return "msg is missing";
  if (details != nullptr && (!details->is_string() || details->as_string().empty())) return "details is no text";
  return "";
}

}  // namespace

std::string wrong_with(std::string_view verb, std::string_view version, int exit_code, const std::string& out) {
  const bool returns_nothing = verb == "CHECK" || verb == "DEL" || verb == "GC" || verb == "STATUS";
  if (exit_code == 0 && returns_nothing) return out.empty() ? "" : "prints something where nothing is returned";
  auto parsed = parse_json(out);
  if (!parsed || !parsed->is_object()) return "is not one JSON object";
  const json::object& object = parsed->as_object();
  const json::value* said = object.if_contains("cniVersion");
  if (said == nullptr || !said->is_string() || !kVersions.contains(std::string(said->as_string())))
    return "cniVersion is no version";
  if (kVersions.contains(version) && said->as_string() != json::string_view(version.data(), version.size()))
    return fmt::format("cniVersion is {}", std::string(said->as_string()));
  if (exit_code != 0) return exit_code == 1 ? wrong_error(object) : "exit code is neither 0 nor 1";
  if (verb == "VERSION") {
    const json::value* all = object.if_contains("supportedVersions");
    if (all == nullptr || !is_optional_texts(all) || all->as_array().size() != kVersions.size())
      return "supportedVersions is not all of them";
    return object.size() == 2 ? "" : "has other fields";
  }
  if (auto wrong = wrong_dns(object.if_contains("dns")); !wrong.empty()) return wrong;
  const std::string spoken(said->as_string());
  return spoken < "0.3.0" ? wrong_early_result(object) : wrong_result(object, spoken < "1.0.0");
}

}  // namespace weir::cni::shapes
