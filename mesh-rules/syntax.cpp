// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/syntax.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"

namespace weir::mesh {
namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// Operators of Envoy's formatter that hold in headers and access logs.
constexpr std::string_view kOperators[] = {"START_TIME",
                                           "START_TIME_LOCAL",
                                           "EMIT_TIME",
                                           "REQUEST_HEADERS_BYTES",
                                           "BYTES_RECEIVED",
                                           "BYTES_RETRANSMITTED",
                                           "PACKETS_RETRANSMITTED",
                                           "PROTOCOL",
                                           "UPSTREAM_PROTOCOL",
                                           "RESPONSE_CODE",
                                           "RESPONSE_CODE_DETAILS",
                                           "CONNECTION_TERMINATION_DETAILS",
                                           "RESPONSE_HEADERS_BYTES",
                                           "RESPONSE_TRAILERS_BYTES",
                                           "BYTES_SENT",
                                           "UPSTREAM_REQUEST_ATTEMPT_COUNT",
                                           "UPSTREAM_WIRE_BYTES_SENT",
                                           "UPSTREAM_WIRE_BYTES_RECEIVED",
                                           "DOWNSTREAM_WIRE_BYTES_SENT",
                                           "DOWNSTREAM_WIRE_BYTES_RECEIVED",
                                           "DURATION",
                                           "COMMON_DURATION",
                                           "REQUEST_DURATION",
                                           "REQUEST_TX_DURATION",
                                           "RESPONSE_DURATION",
                                           "RESPONSE_TX_DURATION",
                                           "RESPONSE_FLAGS",
                                           "RESPONSE_FLAGS_LONG",
                                           "ROUTE_NAME",
                                           "VIRTUAL_CLUSTER_NAME",
                                           "UPSTREAM_HOST",
                                           "UPSTREAM_HOST_NAME",
                                           "UPSTREAM_CLUSTER",
                                           "UPSTREAM_CLUSTER_RAW",
                                           "UPSTREAM_LOCAL_ADDRESS",
                                           "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
                                           "UPSTREAM_LOCAL_PORT",
                                           "UPSTREAM_REMOTE_ADDRESS",
                                           "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
                                           "UPSTREAM_REMOTE_PORT",
                                           "UPSTREAM_TRANSPORT_FAILURE_REASON",
                                           "DOWNSTREAM_REMOTE_ADDRESS",
                                           "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
                                           "DOWNSTREAM_REMOTE_PORT",
                                           "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
                                           "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
                                           "DOWNSTREAM_DIRECT_REMOTE_PORT",
                                           "DOWNSTREAM_LOCAL_ADDRESS",
                                           "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
                                           "DOWNSTREAM_LOCAL_PORT",
                                           "CONNECTION_ID",
                                           "STREAM_ID",
                                           "GRPC_STATUS",
                                           "GRPC_STATUS_NUMBER",
                                           "REQUESTED_SERVER_NAME",
                                           "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
                                           "HOSTNAME",
                                           "FILTER_CHAIN_NAME",
                                           "TRACE_ID"};
/// The same, with an argument in parentheses that may not be left out.
constexpr std::string_view kOperatorsWithArgument[] = {
    "REQ",      "RESP",         "TRAILER",     "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA",
    "METADATA", "FILTER_STATE", "ENVIRONMENT", "REQ_WITHOUT_QUERY"};

bool is_one_of(std::string_view word, auto&& words) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// "REQ(:METHOD):10" between two percent signs.
bool is_operator(std::string_view text) {
  std::string_view name = text.substr(0, text.find_first_of("(:"));
  std::string_view rest = text.substr(name.size());
  bool has_argument = rest.starts_with('(');
  if (has_argument) {
    std::size_t end = rest.find(')');
    if (end == std::string_view::npos || end == 1) return false;
    rest.remove_prefix(end + 1);
  }
  if (!rest.empty() && (!rest.starts_with(':') || !parse_uint(rest.substr(1), 1'000'000))) return false;
  if (is_one_of(name, kOperatorsWithArgument)) return has_argument;
  return is_one_of(name, kOperators) && (!has_argument || name.ends_with("_TIME"));
}

}  // namespace

std::string check_rewrite(std::string_view text, int groups) {
  for (std::size_t at = text.find('\\'); at != std::string_view::npos; at = text.find('\\', at + 2)) {
    char next = at + 1 < text.size() ? text[at + 1] : '\0';
    if (next == '\\') continue;
    if (next < '0' || next > '9') return "a backslash must be followed by a digit or a backslash";
    if (next - '0' > groups)
      return fmt::format("\\{} refers to a group that the pattern does not have (it has {})", next, groups);
  }
  return "";
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_alnum(c) || kOthers.find(c) != std::string_view::npos; });
}

std::string check_format(std::string_view text) {
  for (std::size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at)) {
    std::size_t end = text.find('%', at + 1);
    // An argument may hold anything but a closing parenthesis, a percent sign too.
    if (std::size_t open = text.find('(', at); open != std::string_view::npos && end != std::string_view::npos && open < end) {
      std::size_t close = text.find(')', open);
      end = close == std::string_view::npos ? std::string_view::npos : text.find('%', close);
    }
    if (end == std::string_view::npos) return "a percent sign that ends nothing";
    std::string_view inside = text.substr(at + 1, end - at - 1);
    if (!inside.empty() && !is_operator(inside)) return fmt::format("\"%{}%\" is not an operator", printable(inside, 60));
    at = end + 1;
  }
  return "";
}

bool has_line_break(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos; }

}  // namespace weir::mesh
