// SPDX-License-Identifier: Apache-2.0
// One compiled operator and the value it has for a stream. Internal to the formatter.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proxy/format.h"

namespace weir::proxy {

enum class Op : std::uint8_t {
  start_time,
  start_time_custom,
  request_header,
  request_header_without_query,
  response_header,
  trailer,
  duration,
  request_duration,
  response_duration,
  response_tx_duration,
  response_code,
  response_flags,
  response_code_details,
  termination_details,
  failure_reason,
  bytes_received,
  bytes_sent,
  protocol,
  upstream_host,
  upstream_cluster,
  upstream_local,
  downstream_local,
  downstream_remote,
  attempts,
  server_name,
  route_name,
  rule,
  rule_file,
  rule_line,
  cluster_rule,
  cluster_rule_file,
  cluster_rule_line,
  grpc_status,
  stream_id,
  constant,  ///< HOSTNAME, ENVIRONMENT
  nothing,   ///< Envoy knows it, weir has no such fact: always missing
};

/// Request facts that are read from the StreamInfo before the header map is searched.
enum class Fact : std::uint8_t {
  none,
  method,
  scheme,
  authority,
  path,
  original_path,
  forwarded_for,
  user_agent,
  request_id,
  service_time
};

struct HeaderName {
  std::string name;  ///< lower case; empty: none
  Fact fact = Fact::none;
};

enum class AddressPart : std::uint8_t { whole, ip, port };
enum class GrpcStyle : std::uint8_t { camel, snake, number };

/// A piece of START_TIME(…).
struct TimePart {
  std::string strftime_format;  ///< empty: one of the below
  int digits = 0;               ///< of the fraction of a second
  bool epoch_seconds = false;
};

struct Operator {
  Op op = Op::nothing;
  HeaderName first, second;  ///< REQ(first?second)
  AddressPart part = AddressPart::whole;
  GrpcStyle grpc = GrpcStyle::camel;
  std::vector<TimePart> time;
  std::string text;                            ///< of a constant
  std::size_t limit = std::string_view::npos;  ///< :Z
  bool is_number = false;
  bool blanks_as_underscores = false;
};

/// `inside`: what stands between the percent signs, "REQ(X?Y):10". The error has no place in it: the caller knows it.
Result<Operator> parse_operator(std::string_view inside);

/// Room for values that are not simply views.
struct Scratch {
  std::array<char, 160> bytes;
  std::string& text;  ///< reused for START_TIME(…) and flags
};

/// The raw value; empty means missing.
std::string_view value_of(const Operator& op, const FormatInput& input, Scratch& scratch, TimeCache& time);

}  // namespace weir::proxy
