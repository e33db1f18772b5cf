// SPDX-License-Identifier: Apache-2.0
#include "http/grpc.h"

#include <fmt/format.h>

#include <array>

#include "base/text.h"
#include "http/chars.h"

namespace weir::http {

namespace {

constexpr std::array<std::string_view, 17> kNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};
constexpr std::size_t kPrefixBytes = 5;
constexpr std::size_t kKeptBuffer = 256 * 1024;

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  char low = lowered(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

}  // namespace

std::string_view to_text(GrpcCode code) {
  auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

std::optional<GrpcCode> parse_grpc_code(std::string_view text) {
  if (std::optional<std::uint64_t> number = parse_uint(text, kNames.size() - 1)) return static_cast<GrpcCode>(*number);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<GrpcCode>(i);
  }
  return std::nullopt;
}

GrpcCode grpc_code_of_http(std::uint16_t status) {
  switch (status) {
    case 400: return GrpcCode::internal;
    case 401: return GrpcCode::unauthenticated;
    case 403: return GrpcCode::permission_denied;
    case 404: return GrpcCode::unimplemented;
    case 429:
    case 502:
    case 503:
    case 504: return GrpcCode::unavailable;
    default: return GrpcCode::unknown;
  }
}

std::string GrpcStatus::to_text() const {
  std::string text(http::to_text(code));
  if (!message.empty()) text.append(": ").append(message);
  return text;
}

std::string encode_grpc_message(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (char c : text) {
    if (c < 0x20 || c > 0x7e || c == '%') {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      encoded += c;
    }
  }
  return encoded;
}

std::string decode_grpc_message(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool escaped = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    if (!escaped) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
    i += 2;
  }
  return decoded;
}

std::optional<GrpcStatus> grpc_status_of(const HeaderMap& trailers) {
  std::optional<std::string_view> status = trailers.get("grpc-status");
  if (!status) return std::nullopt;
  std::optional<std::uint64_t> number = parse_uint(*status, UINT32_MAX);
  if (!number) return std::nullopt;
  // A number that is not known is still an answer: clients shall take it for UNKNOWN.
  GrpcStatus result;
  result.code = *number < kNames.size() ? static_cast<GrpcCode>(*number) : GrpcCode::unknown;
  result.message = decode_grpc_message(trailers.get("grpc-message").value_or(""));
  return result;
}

bool is_grpc_content_type(std::string_view value) {
  constexpr std::string_view kType = "application/grpc";
  if (!equals_lower(value.substr(0, kType.size()), kType)) return false;
  return value.size() == kType.size() || value[kType.size()] == '+' || value[kType.size()] == ';' ||
         is_blank(value[kType.size()]);
}

std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view value) {
  using namespace std::chrono;
  if (value.size() < 2 || value.size() > 9) return std::nullopt;
  std::optional<std::uint64_t> number = parse_uint(value.substr(0, value.size() - 1));
  if (!number) return std::nullopt;
  auto count = static_cast<std::int64_t>(*number);
  switch (value.back()) {
    case 'H': return count > 2'000'000 ? hours(2'000'000) : hours(count);  // beyond that nanoseconds overflow
    case 'M': return minutes(count);
    case 'S': return seconds(count);
    case 'm': return milliseconds(count);
    case 'u': return microseconds(count);
    case 'n': return nanoseconds(count);
    default: return std::nullopt;
  }
}

void write_grpc_frame(std::string& out, std::string_view message) {
  auto size = static_cast<std::uint32_t>(message.size());
  const char prefix[kPrefixBytes] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                     static_cast<char>(size >> 8), static_cast<char>(size)};
  out.append(prefix, sizeof prefix).append(message);
}

void GrpcReader::feed(std::string_view bytes) {
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    if (buffer_.capacity() > kKeptBuffer) buffer_.shrink_to_fit();
    begin_ = 0;
  } else if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
}

GrpcReader::Next GrpcReader::next() {
  Next result;
  std::string_view rest = std::string_view(buffer_).substr(begin_);
  if (rest.size() < kPrefixBytes) return result;
  auto refuse = [&](GrpcCode code, std::string message) {
    result.state = Next::State::error;
    result.error = {code, std::move(message)};
    return result;
  };
  auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(rest[i])); };
  if (byte(0) == 1) return refuse(GrpcCode::unimplemented, "compressed messages are not supported: use grpc-encoding identity");
  if (byte(0) != 0) return refuse(GrpcCode::internal, fmt::format("gRPC frame with flag {}, not 0 or 1", byte(0)));
  std::size_t size = byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4);
  if (size > max_) return refuse(GrpcCode::resource_exhausted, fmt::format("message of {} bytes is larger than {}", size, max_));
  if (rest.size() - kPrefixBytes < size) return result;
  result.state = Next::State::message;
  result.message = rest.substr(kPrefixBytes, size);
  begin_ += kPrefixBytes + size;
  return result;
}

}  // namespace weir::http
