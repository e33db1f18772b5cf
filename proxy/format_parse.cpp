// SPDX-License-Identifier: Apache-2.0
// "REQ(X?Y):10" → Operator.
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/text.h"
#include "proxy/format_operator.h"

namespace weir::proxy {

namespace {

enum class Argument : std::uint8_t { none, optional, required };

struct Known {
  std::string_view name;
  Op op;
  Argument argument = Argument::none;
  bool is_number = false;
  AddressPart part = AddressPart::whole;
};

using enum Op;

constexpr Known kKnown[] = {
    {"START_TIME", start_time, Argument::optional},
    {"REQ", request_header, Argument::required},
    {"REQ_WITHOUT_QUERY", request_header_without_query, Argument::required},
    {"RESP", response_header, Argument::required},
    {"TRAILER", trailer, Argument::required},
    {"DURATION", duration, Argument::none, true},
    {"REQUEST_DURATION", request_duration, Argument::none, true},
    {"RESPONSE_DURATION", response_duration, Argument::none, true},
    {"RESPONSE_TX_DURATION", response_tx_duration, Argument::none, true},
    {"RESPONSE_CODE", response_code, Argument::none, true},
    {"RESPONSE_FLAGS", response_flags},
    {"RESPONSE_CODE_DETAILS", response_code_details, Argument::optional},
    {"CONNECTION_TERMINATION_DETAILS", termination_details},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", failure_reason},
    {"BYTES_RECEIVED", bytes_received, Argument::none, true},
    {"BYTES_SENT", bytes_sent, Argument::none, true},
    {"PROTOCOL", protocol},
    {"UPSTREAM_HOST", upstream_host},
    {"UPSTREAM_REMOTE_ADDRESS", upstream_host},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", upstream_host, Argument::none, false, AddressPart::ip},
    {"UPSTREAM_REMOTE_PORT", upstream_host, Argument::none, true, AddressPart::port},
    {"UPSTREAM_CLUSTER", upstream_cluster},
    {"UPSTREAM_CLUSTER_RAW", upstream_cluster},
    {"UPSTREAM_LOCAL_ADDRESS", upstream_local},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", upstream_local, Argument::none, false, AddressPart::ip},
    {"UPSTREAM_LOCAL_PORT", upstream_local, Argument::none, true, AddressPart::port},
    {"DOWNSTREAM_LOCAL_ADDRESS", downstream_local},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", downstream_local, Argument::none, false, AddressPart::ip},
    {"DOWNSTREAM_LOCAL_PORT", downstream_local, Argument::none, true, AddressPart::port},
    {"DOWNSTREAM_REMOTE_ADDRESS", downstream_remote},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", downstream_remote, Argument::none, false, AddressPart::ip},
    {"DOWNSTREAM_REMOTE_PORT", downstream_remote, Argument::none, true, AddressPart::port},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", downstream_remote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", downstream_remote, Argument::none, false, AddressPart::ip},
    {"DOWNSTREAM_DIRECT_REMOTE_PORT", downstream_remote, Argument::none, true, AddressPart::port},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", attempts, Argument::none, true},
    {"REQUESTED_SERVER_NAME", server_name, Argument::optional},
    {"ROUTE_NAME", route_name},
    {"METADATA", rule, Argument::required},
    {"GRPC_STATUS", grpc_status, Argument::optional},
    {"GRPC_STATUS_NUMBER", grpc_status, Argument::none, true},
    {"STREAM_ID", stream_id},
    {"HOSTNAME", constant},
    {"ENVIRONMENT", constant, Argument::required},
    // Envoy knows these; weir has no such fact, and a format that names one still serves for the rest.
    {"DYNAMIC_METADATA", nothing, Argument::required},
    {"CLUSTER_METADATA", nothing, Argument::required},
    {"UPSTREAM_METADATA", nothing, Argument::required},
    {"FILTER_STATE", nothing, Argument::required},
    {"UPSTREAM_FILTER_STATE", nothing, Argument::required},
    {"CONNECTION_ID", nothing},
    {"UPSTREAM_CONNECTION_ID", nothing},
    {"UPSTREAM_PROTOCOL", nothing},
    {"UPSTREAM_TLS_VERSION", nothing},
    {"UPSTREAM_TLS_CIPHER", nothing},
    {"UPSTREAM_PEER_URI_SAN", nothing},
    {"UPSTREAM_PEER_SUBJECT", nothing},
    {"UPSTREAM_WIRE_BYTES_SENT", nothing},
    {"UPSTREAM_WIRE_BYTES_RECEIVED", nothing},
    {"DOWNSTREAM_WIRE_BYTES_SENT", nothing},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", nothing},
    {"DOWNSTREAM_TLS_VERSION", nothing},
    {"DOWNSTREAM_TLS_CIPHER", nothing},
    {"DOWNSTREAM_TLS_SESSION_ID", nothing},
    {"DOWNSTREAM_PEER_URI_SAN", nothing},
    {"DOWNSTREAM_LOCAL_URI_SAN", nothing},
    {"DOWNSTREAM_PEER_SUBJECT", nothing},
    {"DOWNSTREAM_LOCAL_SUBJECT", nothing},
    {"DOWNSTREAM_PEER_ISSUER", nothing},
    {"DOWNSTREAM_PEER_CERT", nothing},
    {"DOWNSTREAM_PEER_SERIAL", nothing},
    {"DOWNSTREAM_PEER_FINGERPRINT_256", nothing},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", nothing},
    {"TRACE_ID", nothing},
    {"VIRTUAL_CLUSTER_NAME", nothing},
    {"LOCAL_REPLY_BODY", nothing},
};

Fact fact_of(Op op, std::string_view name) {
  struct Row {
    std::string_view name;
    Fact fact;
  };
  static constexpr Row kRows[] = {
      {":method", Fact::method},
      {":scheme", Fact::scheme},
      {":authority", Fact::authority},
      {":path", Fact::path},
      {"x-envoy-original-path", Fact::original_path},
      {"x-forwarded-for", Fact::forwarded_for},
      {"user-agent", Fact::user_agent},
      {"x-request-id", Fact::request_id},
  };
  if (op == response_header) return name == "x-envoy-upstream-service-time" ? Fact::service_time : Fact::none;
  if (op == trailer) return Fact::none;
  for (const Row& row : kRows) {
    if (row.name == name) return row.fact;
  }
  return Fact::none;
}

Result<> parse_headers(std::string_view argument, Operator& op) {
  std::size_t mark = argument.find('?');
  op.first.name = to_lower(trim(argument.substr(0, mark)));
  if (mark != std::string_view::npos) op.second.name = to_lower(trim(argument.substr(mark + 1)));
  bool has_blank_alternative = mark != std::string_view::npos && op.second.name.empty();
  if (op.first.name.empty() || has_blank_alternative || op.second.name.find('?') != std::string::npos) {
    return fail(ErrorCode::usage, "needs a header's name and at most one alternative, as in REQ(X-A?X-B)");
  }
  op.first.fact = fact_of(op.op, op.first.name);
  op.second.fact = fact_of(op.op, op.second.name);
  return {};
}

/// "ROUTE:weir:rule".
void parse_metadata(std::string_view argument, Operator& op) {
  std::vector<std::string_view> parts = split(argument, ':');
  op.op = nothing;
  if (parts.size() != 3 || (parts[0] != "ROUTE" && parts[0] != "CLUSTER")) return;
  bool is_route = parts[0] == "ROUTE", is_weir = parts[1] == "weir";
  if ((is_weir && parts[2] == "rule") || (parts[1] == "istio" && parts[2] == "config")) op.op = is_route ? rule : cluster_rule;
  if (is_weir && parts[2] == "file") op.op = is_route ? rule_file : cluster_rule_file;
  if (is_weir && parts[2] == "line") op.op = is_route ? rule_line : cluster_rule_line;
  op.is_number = op.op == rule_line || op.op == cluster_rule_line;
}

/// strftime(3) as Envoy extends it: %f and %3f (fraction), %s (epoch), %E3S (seconds with fraction), %E3f.
void parse_time(std::string_view format, Operator& op) {
  auto chunk = [&]() -> std::string& {
    if (op.time.empty() || op.time.back().strftime_format.empty()) op.time.emplace_back();
    return op.time.back().strftime_format;
  };
  auto is_digit = [](char c) { return c >= '1' && c <= '9'; };
  for (std::size_t i = 0; i < format.size(); ++i) {
    std::string_view rest = format.substr(i);
    if (rest.starts_with("%%")) {
      chunk() += "%%";
      i += 1;
    } else if (rest.starts_with("%s")) {
      op.time.push_back({{}, 0, true});
      i += 1;
    } else if (rest.starts_with("%f")) {
      op.time.push_back({{}, 9, false});
      i += 1;
    } else if (rest.size() >= 3 && rest[0] == '%' && is_digit(rest[1]) && rest[2] == 'f') {
      op.time.push_back({{}, rest[1] - '0', false});
      i += 2;
    } else if (rest.size() >= 4 && rest.starts_with("%E") && (is_digit(rest[2]) || rest[2] == '*') &&
               (rest[3] == 'S' || rest[3] == 'f')) {
      if (rest[3] == 'S') chunk() += "%S.";
      op.time.push_back({{}, rest[2] == '*' ? 9 : rest[2] - '0', false});
      i += 3;
    } else {
      chunk() += format[i];
    }
  }
}

Result<> parse_argument(const Known& known, std::string_view argument, Operator& op) {
  switch (known.op) {
    case request_header:
    case request_header_without_query:
    case response_header:
    case trailer: return parse_headers(argument, op);
    case start_time:
      if (argument.empty()) return {};
      op.op = start_time_custom;
      parse_time(argument, op);
      return {};
    case rule: parse_metadata(argument, op); return {};
    case grpc_status:
      op.grpc = op.is_number || argument == "NUMBER" ? GrpcStyle::number
                : argument == "SNAKE_STRING"         ? GrpcStyle::snake
                                                     : GrpcStyle::camel;
      op.is_number = op.grpc == GrpcStyle::number;
      return {};
    case constant:
      if (known.name == "ENVIRONMENT") {
        const char* value = std::getenv(std::string(argument).c_str());
        op.text = value == nullptr ? "" : value;
      } else {
        char name[HOST_NAME_MAX + 1] = {};
        if (gethostname(name, sizeof name - 1) == 0) op.text = name;
      }
      return {};
    default: return {};
  }
}

const Known* find(std::string_view name) {
  for (const Known& known : kKnown) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

tl::unexpected<Error> unknown(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) names.push_back(known.name);
  std::string_view near = nearest(name, names);
  return fail(ErrorCode::usage, "is not known{}", near.empty() ? "" : fmt::format("; did you mean %{}%?", near));
}

}  // namespace

Result<Operator> parse_operator(std::string_view inside) {
  std::string_view name = inside.substr(0, inside.find_first_of("(:"));
  std::string_view rest = inside.substr(name.size());
  const Known* known = find(name);
  if (known == nullptr) return unknown(name);
  Operator op{.op = known->op, .part = known->part, .is_number = known->is_number};
  op.blanks_as_underscores = op.op == response_code_details || op.op == termination_details || op.op == failure_reason;
  std::string_view argument;
  bool has_argument = rest.starts_with('(');
  if (has_argument) {
    std::size_t close = rest.find(')');
    if (close == std::string_view::npos) return fail(ErrorCode::usage, "lacks its closing parenthesis");
    argument = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
  }
  if (has_argument && known->argument == Argument::none) return fail(ErrorCode::usage, "takes no argument");
  if (argument.empty() && known->argument == Argument::required)
    return fail(ErrorCode::usage, "needs an argument in parentheses");
  if (rest.starts_with(':')) {
    auto limit = parse_uint(rest.substr(1), 1 << 20);
    if (!limit) return fail(ErrorCode::usage, "has a length that is no number from 0 to 1048576");
    op.limit = *limit;
    rest = {};
  }
  if (!rest.empty()) return fail(ErrorCode::usage, "has \"{}\" behind it", printable(rest));
  if (auto parsed = parse_argument(*known, argument, op); !parsed) return tl::unexpected(parsed.error());
  return op;
}

}  // namespace weir::proxy
