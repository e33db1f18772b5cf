// SPDX-License-Identifier: Apache-2.0
#include "proxy/detector.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace weir::proxy {

namespace {

using Protocol = Detection::Protocol;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kLongestMethod = 64;  // as the codec

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

Protocol detect_http(std::string_view bytes) {
  const bool is_all = bytes.size() >= kDetectBytes;  // that is waited for
  // At most two empty lines may stand before a request (RFC 9112, 2.2).
  while (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
  if (bytes.starts_with(kPreface)) return Protocol::http2;
  if (kPreface.starts_with(bytes) || bytes == "\r") return is_all ? Protocol::raw : Protocol::undecided;

  std::size_t end = bytes.find('\n');
  std::string_view line = bytes.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto after_method = std::find_if_not(
      line.begin(), line.begin() + static_cast<std::ptrdiff_t>(std::min(line.size(), kLongestMethod)), is_token_char);
  auto method = static_cast<std::size_t>(after_method - line.begin());
  if (method == 0 || (method < line.size() && line[method] != ' ')) return Protocol::raw;
  bool is_text = std::all_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
  if (!is_text) return Protocol::raw;
  if (end == std::string_view::npos) {
    if (!is_all) return Protocol::undecided;
    return line.substr(method).starts_with(" /") || line.substr(method).starts_with(" http") ? Protocol::http1 : Protocol::raw;
  }
  // "GET / HTTP/1.1": the version tells it from other protocols of lines of words.
  std::size_t version = line.rfind(' ');
  return version != std::string_view::npos && version >= method && line.substr(version + 1).starts_with("HTTP/1.")
             ? Protocol::http1
             : Protocol::raw;
}

/// Big-endian fields out of a ClientHello; after the first that is not there everything reads as missing.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::size_t number(std::size_t width) {
    std::string_view field = take(width);
    std::size_t value = 0;
    for (char c : field) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t n) {
    if (n > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    std::string_view field = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return field;
  }
  /// A field that is preceded by its length.
  Reader vector(std::size_t width) { return Reader(take(number(width))); }
  bool done() const { return failed_ || rest_.empty(); }
  bool failed() const { return failed_; }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

void read_extension(std::size_t type, Reader body, Detection& result) {
  constexpr std::size_t kServerName = 0, kAlpn = 16;
  Reader list = body.vector(2);
  while ((type == kServerName || type == kAlpn) && !list.done()) {
    if (type == kServerName) {
      std::size_t kind = list.number(1);
      std::string_view name = list.vector(2).rest();
      if (kind == 0 && !list.failed() && result.server_name.empty()) result.server_name = to_lower(name);
    } else if (std::string_view name = list.vector(1).rest(); !list.failed()) {
      result.application_protocols.emplace_back(name);
    }
  }
}

void read_hello(std::string_view hello, Detection& result) {
  Reader reader(hello);
  reader.take(2 + 32);  // version, random
  reader.vector(1);     // session id
  reader.vector(2);     // cipher suites
  reader.vector(1);     // compression methods
  Reader extensions = reader.vector(2);
  while (!extensions.done()) {
    std::size_t type = extensions.number(2);
    Reader body = extensions.vector(2);
    if (!extensions.failed()) read_extension(type, body, result);
  }
}

/// A ClientHello may be split over records (RFC 8446, 5.1).
Detection detect_tls(std::string_view bytes) {
  Detection result;
  std::string handshake;
  std::string_view rest = bytes;
  while (rest.size() >= 5) {
    if (rest[0] != 0x16 || rest[1] != 0x03) break;
    std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(rest[3])) << 8 | static_cast<unsigned char>(rest[4]);
    handshake += rest.substr(5, size);
    if (!handshake.empty() && handshake[0] != 0x01) {
      result.protocol = Protocol::raw;
      return result;
    }
    if (handshake.size() >= 4) {
      Reader header(handshake);
      header.take(1);
      std::size_t length = header.number(3);
      if (handshake.size() >= 4 + length) {
        read_hello(std::string_view(handshake).substr(4, length), result);
        result.protocol = Protocol::tls;
        return result;
      }
    }
    if (rest.size() < 5 + size) break;
    rest.remove_prefix(5 + size);
  }
  // A hello that does not end is still TLS, only without a name.
  result.protocol = bytes.size() >= kDetectBytes ? Protocol::tls : Protocol::undecided;
  return result;
}

}  // namespace

Detection detect(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (bytes[0] == 0x16 && (bytes.size() == 1 || bytes[1] == 0x03)) return detect_tls(bytes);
  Detection result;
  result.protocol = detect_http(bytes);
  return result;
}

}  // namespace weir::proxy
