// SPDX-License-Identifier: Apache-2.0
// Operator → value of a stream. No allocation but in reused strings.
#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <ctime>

#include "base/text.h"
#include "proxy/format_operator.h"

namespace weir::proxy {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

std::string_view number(std::uint64_t value, Scratch& scratch) {
  auto [end, error] = std::to_chars(scratch.bytes.data(), scratch.bytes.data() + scratch.bytes.size(), value);
  (void)error;  // 20 digits fit
  return {scratch.bytes.data(), static_cast<std::size_t>(end - scratch.bytes.data())};
}

std::string_view millis(std::optional<milliseconds> value, Scratch& scratch) {
  if (!value) return {};
  return number(static_cast<std::uint64_t>(std::max<std::int64_t>(value->count(), 0)), scratch);
}

/// As SocketAddr::to_text(), without its string.
std::string_view address(const std::optional<SocketAddr>& value, AddressPart part, Scratch& scratch) {
  if (!value) return {};
  if (part == AddressPart::port) return number(value->port, scratch);
  char* at = scratch.bytes.data();
  bool has_brackets = part == AddressPart::whole && !value->ip.is_v4();
  if (has_brackets) *at++ = '[';
  inet_ntop(value->ip.is_v4() ? AF_INET : AF_INET6, value->ip.bytes().data(), at, INET6_ADDRSTRLEN);
  at += std::strlen(at);
  if (has_brackets) *at++ = ']';
  if (part == AddressPart::whole) {
    *at++ = ':';
    at = std::to_chars(at, scratch.bytes.data() + scratch.bytes.size(), value->port).ptr;
  }
  return {scratch.bytes.data(), static_cast<std::size_t>(at - scratch.bytes.data())};
}

std::string_view fact(Fact wanted, const StreamInfo& info, Scratch& scratch) {
  switch (wanted) {
    case Fact::method: return info.method;
    case Fact::scheme: return info.scheme;
    case Fact::authority: return info.authority;
    case Fact::path: return info.path;
    case Fact::original_path: return info.original_path;
    case Fact::forwarded_for: return info.forwarded_for;
    case Fact::user_agent: return info.user_agent;
    case Fact::request_id: return info.request_id;
    case Fact::service_time: return millis(info.upstream_service_time, scratch);
    case Fact::none: break;
  }
  return {};
}

std::string_view header(const HeaderName& name, const http::HeaderMap* map, const StreamInfo& info, Scratch& scratch) {
  if (name.name.empty()) return {};
  if (std::string_view known = fact(name.fact, info, scratch); !known.empty()) return known;
  return map == nullptr ? std::string_view{} : map->get(name.name).value_or(std::string_view{});
}

std::string_view header(const Operator& op, const http::HeaderMap* map, const StreamInfo& info, Scratch& scratch) {
  std::string_view first = header(op.first, map, info, scratch);
  return first.empty() ? header(op.second, map, info, scratch) : first;
}

std::string_view line_of(const RuleRef* rule, Scratch& scratch) {
  return rule == nullptr || rule->line <= 0 ? std::string_view{} : number(static_cast<std::uint64_t>(rule->line), scratch);
}

std::string_view grpc_status(const Operator& op, const FormatInput& input) {
  std::optional<std::string_view> raw;
  if (input.trailers != nullptr) raw = input.trailers->get("grpc-status");
  if (!raw && input.response != nullptr) raw = input.response->get("grpc-status");
  if (!raw || op.grpc == GrpcStyle::number) return raw.value_or(std::string_view{});
  static constexpr std::string_view kCamel[] = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  static constexpr std::string_view kSnake[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  auto code = parse_uint(*raw, 16);
  if (!code) return *raw;
  return op.grpc == GrpcStyle::snake ? kSnake[*code] : kCamel[*code];
}

/// Digits of the fraction of a second.
void append_fraction(std::string& out, std::chrono::system_clock::time_point time, int digits) {
  auto nanos = duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()) % std::chrono::seconds(1);
  char text[16];
  std::int64_t left = nanos.count();
  for (int i = 8; i >= 0; --i, left /= 10) text[i] = static_cast<char>('0' + left % 10);
  out.append(text, static_cast<std::size_t>(digits));
}

std::string_view custom_time(const Operator& op, const StreamInfo& info, Scratch& scratch) {
  std::time_t seconds = std::chrono::floor<std::chrono::seconds>(info.start).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  scratch.text.clear();
  for (const TimePart& part : op.time) {
    if (part.epoch_seconds) {
      scratch.text += number(static_cast<std::uint64_t>(std::max<std::time_t>(seconds, 0)), scratch);
    } else if (part.digits > 0) {
      append_fraction(scratch.text, info.start, part.digits);
    } else {
      std::size_t size = std::strftime(scratch.bytes.data(), scratch.bytes.size(), part.strftime_format.c_str(), &parts);
      scratch.text.append(scratch.bytes.data(), size);
    }
  }
  return scratch.text;
}

}  // namespace

void TimeCache::append(std::string& out, std::chrono::system_clock::time_point time) {
  auto whole = std::chrono::floor<std::chrono::seconds>(time);
  std::int64_t second = whole.time_since_epoch().count();
  if (second != second_) {
    std::time_t seconds = second;
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32] = {};
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &parts);
    std::memcpy(text_, text, sizeof text_);
    second_ = second;
  }
  out.append(text_, sizeof text_);
  append_fraction(out, time, 3);
  out += 'Z';
}

std::string_view value_of(const Operator& op, const FormatInput& input, Scratch& scratch, TimeCache& time) {
  const StreamInfo& info = input.info;
  switch (op.op) {
    case Op::start_time:
      scratch.text.clear();
      time.append(scratch.text, info.start);
      return scratch.text;
    case Op::start_time_custom: return custom_time(op, info, scratch);
    case Op::request_header: return header(op, input.request, info, scratch);
    case Op::request_header_without_query: {
      std::string_view value = header(op, input.request, info, scratch);
      return value.substr(0, value.find('?'));
    }
    case Op::response_header: return header(op, input.response, info, scratch);
    case Op::trailer: return header(op, input.trailers, info, scratch);
    case Op::duration: return millis(duration_cast<milliseconds>(info.duration), scratch);
    case Op::request_duration: return millis(info.request_duration, scratch);
    case Op::response_duration: return millis(info.response_duration, scratch);
    case Op::response_tx_duration:
      if (!info.response_duration) return {};
      return millis(duration_cast<milliseconds>(info.duration) - *info.response_duration, scratch);
    case Op::response_code: return number(info.code, scratch);
    case Op::response_flags:
      scratch.text.clear();
      info.flags.append_to(scratch.text);
      return scratch.text;
    case Op::response_code_details: return info.code_details;
    case Op::termination_details: return info.connection_termination_details;
    case Op::failure_reason: return info.upstream_transport_failure_reason;
    case Op::bytes_received: return number(info.bytes_received, scratch);
    case Op::bytes_sent: return number(info.bytes_sent, scratch);
    case Op::protocol: return info.protocol;
    case Op::upstream_host: return address(info.upstream_host, op.part, scratch);
    case Op::upstream_cluster: return info.upstream_cluster;
    case Op::upstream_local: return address(info.upstream_local, op.part, scratch);
    case Op::downstream_local: return address(info.downstream_local, op.part, scratch);
    case Op::downstream_remote: return address(info.downstream_remote, op.part, scratch);
    case Op::attempts: return number(info.attempts, scratch);
    case Op::server_name: return info.server_name;
    case Op::route_name: return info.route_name;
    case Op::rule: return info.rule == nullptr ? std::string_view{} : info.rule->rule;
    case Op::rule_file: return info.rule == nullptr ? std::string_view{} : info.rule->file;
    case Op::rule_line: return line_of(info.rule, scratch);
    case Op::cluster_rule: return info.cluster_rule == nullptr ? std::string_view{} : info.cluster_rule->rule;
    case Op::cluster_rule_file: return info.cluster_rule == nullptr ? std::string_view{} : info.cluster_rule->file;
    case Op::cluster_rule_line: return line_of(info.cluster_rule, scratch);
    case Op::grpc_status: return grpc_status(op, input);
    case Op::stream_id: return info.stream_id == 0 ? std::string_view{} : number(info.stream_id, scratch);
    case Op::constant: return op.text;
    case Op::nothing: break;
  }
  return {};
}

}  // namespace weir::proxy
