// SPDX-License-Identifier: Apache-2.0
// What the actions of an http route must be: headers, redirect, rewrite, retries, fault, mirror, cors.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "mesh-rules/kinds.h"
#include "mesh-rules/syntax.h"
#include "mesh-rules/virtual_service_tables.h"

namespace weir::mesh {
namespace {

constexpr Nanoseconds kShortest = std::chrono::milliseconds(1);
/// Envoy's limit of a header to add.
constexpr std::size_t kLongestHeader = 16384;

bool is_retry_word(std::string_view word) {
  static constexpr std::array<std::string_view, 17> kWords = {"5xx",
                                                              "gateway-error",
                                                              "reset",
                                                              "reset-before-request",
                                                              "connect-failure",
                                                              "envoy-ratelimited",
                                                              "retriable-4xx",
                                                              "refused-stream",
                                                              "retriable-status-codes",
                                                              "retriable-headers",
                                                              "http3-post-connect-failure",
                                                              "cancelled",
                                                              "deadline-exceeded",
                                                              "internal",
                                                              "resource-exhausted",
                                                              "unavailable",
                                                              "connect-failure"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool is_grpc_status(std::string_view text) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return std::find(kNames.begin(), kNames.end(), text) != kNames.end() || parse_uint(text, 16).has_value();
}

/// Standard alphabet with padding; nullopt if it is not base64.
std::optional<std::string> decode_base64(std::string_view text) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (char c : text) {
    if (c == '\n' || c == '\r') continue;
    std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> count) & 0xFFU);
    }
  }
  return out;
}

}  // namespace

void check_duration(Reader& reader, const Node& node, std::string_view field, const std::optional<Nanoseconds>& value) {
  const Node* found = node.find(field);
  if (found == nullptr || !value || !found->is_scalar() || !parse_duration(found->text)) return;
  if (*value < kShortest)
    reader.error_at(field, *found, fmt::format("{} is too short", found->text), "use at least 1ms, or leave it out for none");
}

double read_percentage(Reader& reader, const Node& node) {
  Percentage percentage;
  read_table(reader, node, percentage);
  return percentage.value;
}

double read_whole_percentage(Reader& reader, const Node& node) {
  std::uint32_t value = 0;
  Decoder<std::uint32_t>::read(reader, node, value);
  if (value > 100) reader.error(node.line, fmt::format("{} is not a percentage", value), "use 0 to 100");
  return value;
}

namespace {

/// A text that becomes part of a head must not end its line.
void check_one_line(Reader& reader, const Node& node, std::string_view field) {
  const Node* found = node.find(field);
  if (found != nullptr && has_line_break(found->text))
    reader.error_at(field, *found, fmt::format("\"{}\" holds a line break", printable(found->text)));
}

bool is_host_name(std::string_view name) { return equals_ignore_case(name, "host") || name == ":authority"; }

}  // namespace

void Table<HeaderOperations>::check(Reader& reader, const Node& node, HeaderOperations& out) {
  for (std::string_view field : {"set", "add"}) {
    const Node* map = node.find(field);
    for (const yaml::Entry& entry : map != nullptr ? map->entries : std::vector<yaml::Entry>()) {
      Reader::Step step(reader, field);
      Reader::Step name(reader, entry.key);
      if (!is_host_name(entry.key) && !is_header_name(entry.key)) {
        reader.error(entry.line, fmt::format("\"{}\" cannot be changed", printable(entry.key)),
                     "name a header; of the pseudo-headers only :authority");
      }
      if (has_line_break(entry.value->text)) reader.error(entry.line, "the value holds a line break");
      if (entry.key.size() + entry.value->text.size() > kLongestHeader) {
        reader.error(entry.line, fmt::format("the value has {} bytes", entry.value->text.size()),
                     fmt::format("at most {}", kLongestHeader));
      }
      std::string problem = check_format(entry.value->text);
      if (!problem.empty()) reader.error(entry.line, std::move(problem), "write %% for a percent sign");
    }
  }
  const auto items = yaml::items_read(node.find("remove"));
  for (std::size_t i = 0; i < out.remove.size() && i < items.size(); ++i) {
    if (is_header_name(out.remove[i]) && !is_host_name(out.remove[i])) continue;
    Reader::Step step(reader, "remove");
    Reader::Step item(reader, i);
    reader.error(items[i]->line, fmt::format("\"{}\" cannot be removed", printable(out.remove[i])));
  }
}

void Table<RegexRewrite>::check(Reader& reader, const Node& node, RegexRewrite& out) {
  const Node* match = node.find("match");
  const Node* rewrite = node.find("rewrite");
  if (match == nullptr || rewrite == nullptr) return;
  RegexCheck regex = check_regex(out.match);
  if (out.match.empty()) regex.problem = "it is empty";
  if (!regex.problem.empty()) {
    return reader.error_at("match", *match,
                           fmt::format("\"{}\" is not a regular expression: {}", printable(out.match), regex.problem),
                           "use RE2's syntax");
  }
  if (std::string problem = check_rewrite(out.rewrite, regex.groups); !problem.empty())
    reader.error_at("rewrite", *rewrite, std::move(problem));
  check_one_line(reader, node, "rewrite");
}

void Table<HttpRedirect>::check(Reader& reader, const Node& node, HttpRedirect& out) {
  for (std::string_view field : {"uri", "authority", "scheme"}) check_one_line(reader, node, field);
  if (out.port && out.derive_port != HttpRedirect::DerivePort::none)
    reader.error(node.line, "only one of port and derivePort may be given");
  if (out.code != 301 && out.code != 302 && out.code != 303 && out.code != 307 && out.code != 308) {
    reader.error_at("redirectCode", *node.find("redirectCode"), fmt::format("{} is not a redirection", out.code),
                    "use 301, 302, 303, 307 or 308");
  }
  if (!out.uri && !out.authority && !out.scheme && !out.port && node.find("derivePort") == nullptr) {
    reader.error(node.line, "the redirection changes nothing", "give uri, authority, scheme or port");
  }
}

void Table<DirectResponse>::body(Reader& reader, const Node& node, DirectResponse& out) {
  if (!node.is_map()) return reader.wrong_type(node, "a map with string or bytes");
  for (const yaml::Entry& entry : node.entries) {
    if (entry.key != "string" && entry.key != "bytes") {
      report_unknown(reader, entry.key, entry.line, {"string", "bytes"});
      continue;
    }
    Reader::Step step(reader, entry.key);
    Decoder<std::string>::read(reader, *entry.value, out.body);
    out.body_is_bytes = entry.key == "bytes";
    if (!out.body_is_bytes) continue;
    if (std::optional<std::string> decoded = decode_base64(out.body)) {
      out.body = *decoded;
    } else {
      reader.error(entry.line, "not base64");
    }
  }
  if (node.find("string") != nullptr && node.find("bytes") != nullptr)
    reader.error(node.line, "only one of string and bytes may be given");
  if (out.body.size() > (1U << 20))
    reader.error(node.line, fmt::format("the body has {} bytes", out.body.size()), "at most 1 MiB");
}

void Table<DirectResponse>::check(Reader& reader, const Node& node, DirectResponse& out) {
  const Node* status = node.find("status");
  if (status != nullptr && (out.status < 200 || out.status > 599)) {
    reader.error_at("status", *status, fmt::format("{} is not a status of a final response", status->text), "use 200 to 599");
  }
}

void Table<HttpRewrite>::check(Reader& reader, const Node& node, HttpRewrite& out) {
  for (std::string_view field : {"uri", "authority"}) check_one_line(reader, node, field);
  if (out.uri.empty() && out.authority.empty() && !out.uri_regex)
    reader.error(node.line, "the rewrite changes nothing", "give uri, authority or uriRegexRewrite");
  if (!out.uri.empty() && out.uri_regex) reader.error(node.line, "only one of uri and uriRegexRewrite may be given");
}

void Table<HttpRetry>::check(Reader& reader, const Node& node, HttpRetry& out) {
  check_duration(reader, node, "perTryTimeout", out.per_try_timeout);
  check_duration(reader, node, "backoff", out.backoff);
  if (const Node* attempts = node.find("attempts"); attempts != nullptr && out.attempts == 0 && attempts->text == "0") {
    for (std::string_view field : {"perTryTimeout", "retryOn"}) {
      if (const Node* found = node.find(field)) reader.error_at(field, *found, "has no meaning with attempts: 0");
    }
  }
  const Node* on = node.find("retryOn");
  for (std::string_view word : split(out.retry_on, ',')) {
    word = trim(word);
    if (on == nullptr || is_retry_word(word)) continue;
    std::optional<std::uint64_t> code = parse_uint(word, 599);
    if (code && *code >= 100) continue;
    reader.error_at("retryOn", *on, fmt::format("\"{}\" is not a condition", printable(word)),
                    "use Envoy's words (5xx, gateway-error, reset, connect-failure …) or status codes");
  }
}

void Table<Percentage>::check(Reader& reader, const Node& node, Percentage& out) {
  if (out.value >= 0 && out.value <= 100) return;
  reader.error_at("value", *node.find("value"), fmt::format("{} is not a percentage", node.text_of("value")), "use 0 to 100");
  out.value = 0;
}

void Table<FaultDelay>::percentage(Reader& reader, const Node& node, FaultDelay& out) {
  out.percentage = read_percentage(reader, node);
}
void Table<FaultDelay>::percent(Reader& reader, const Node& node, FaultDelay& out) {
  out.percentage = read_whole_percentage(reader, node);
}
void Table<FaultDelay>::check(Reader& reader, const Node& node, FaultDelay& out) {
  check_duration(reader, node, "fixedDelay", out.fixed_delay);
  if (node.find("percentage") == nullptr && node.find("percent") == nullptr) {
    reader.warning(node.line, "without a percentage the delay never happens", "add percentage: {value: 100}");
  }
}

void Table<FaultAbort>::percentage(Reader& reader, const Node& node, FaultAbort& out) {
  out.percentage = read_percentage(reader, node);
}
void Table<FaultAbort>::check(Reader& reader, const Node& node, FaultAbort& out) {
  const Node* http = node.find("httpStatus");
  const Node* grpc = node.find("grpcStatus");
  if (http == nullptr && grpc == nullptr) reader.error(node.line, "the abort has no status", "give httpStatus or grpcStatus");
  if (http != nullptr && grpc != nullptr) reader.error(node.line, "only one of httpStatus and grpcStatus may be given");
  if (http != nullptr && out.http_status && (*out.http_status < 200 || *out.http_status > 599)) {
    reader.error_at("httpStatus", *http, fmt::format("{} is not a status of a final response", http->text), "use 200 to 599");
  }
  if (grpc != nullptr && !out.grpc_status.empty() && !is_grpc_status(out.grpc_status)) {
    reader.error_at("grpcStatus", *grpc, fmt::format("\"{}\" is not a gRPC status", printable(out.grpc_status)),
                    "write UNAVAILABLE or \"14\"");
  }
  if (node.find("percentage") == nullptr) {
    reader.warning(node.line, "without a percentage the abort never happens", "add percentage: {value: 100}");
  }
}

void Table<HttpMirror>::percentage(Reader& reader, const Node& node, HttpMirror& out) {
  out.percentage = read_percentage(reader, node);
}

void Table<CorsPolicy>::old_origins(Reader& reader, const Node& node, CorsPolicy& out) {
  std::vector<std::string> origins;
  Decoder<std::vector<std::string>>::read(reader, node, origins);
  for (std::string& origin : origins) out.allow_origins.push_back({StringMatch::Kind::exact, std::move(origin)});
}

}  // namespace weir::mesh
