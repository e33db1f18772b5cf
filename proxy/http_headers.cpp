// SPDX-License-Identifier: Apache-2.0
#include "proxy/http_headers.h"

namespace weir::proxy {

void append_uuid(std::string& out, Random& random) {
  std::uint64_t high = (random.next() & ~0xF000ULL) | 0x4000ULL;                        // version 4
  std::uint64_t low = (random.next() & 0x3FFFFFFFFFFFFFFFULL) | 0x8000000000000000ULL;  // variant
  constexpr char kDigits[] = "0123456789abcdef";
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out += '-';
    std::uint64_t half = i < 16 ? high : low;
    out += kDigits[(half >> (60 - 4 * (i % 16))) & 15];
  }
}

void write_upstream_head(std::string& out, const http::RequestHead& head, std::string_view target) {
  http::write_request_head(out, head.method, target, http::Version::http11, head.headers);
  if (head.framing != http::Framing::chunked) return;
  out.resize(out.size() - 2);
  out += "Transfer-Encoding: chunked\r\n\r\n";
}

ResponsePlan plan_response(const http::ResponseHead& head, http::Version client, bool wants_keep_alive) {
  ResponsePlan plan{.framing = head.framing, .close = !wants_keep_alive};
  if (head.framing == http::Framing::chunked || head.framing == http::Framing::until_close) {
    plan.framing = client == http::Version::http10 ? http::Framing::until_close : http::Framing::chunked;
    plan.close = plan.close || client == http::Version::http10;
  }
  return plan;
}

void write_client_head(std::string& out, std::uint16_t status, std::string_view reason, const http::HeaderMap& headers,
                       const ResponsePlan& plan, http::Version client) {
  http::write_response_head(out, status, reason, client, headers);
  out.resize(out.size() - 2);
  if (plan.framing == http::Framing::chunked) out += "transfer-encoding: chunked\r\n";
  if (plan.framing != http::Framing::tunnel) {
    if (plan.close)
      out += "connection: close\r\n";
    else if (client == http::Version::http10)
      out += "connection: keep-alive\r\n";
  }
  out += "\r\n";
}

unsigned grpc_status_of(std::uint16_t http_status) {
  switch (http_status) {
    case 400: return 13;  // INTERNAL
    case 401: return 16;  // UNAUTHENTICATED
    case 403: return 7;   // PERMISSION_DENIED
    case 404: return 12;  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504: return 14;  // UNAVAILABLE
    default: return 2;    // UNKNOWN
  }
}

bool is_grpc(const http::HeaderMap& headers) {
  auto type = headers.get("content-type");
  if (!type || !type->starts_with("application/grpc")) return false;
  return type->size() == 16 || (*type)[16] == '+' || (*type)[16] == ';';
}

bool is_idempotent(std::string_view method) {
  for (std::string_view other : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
    if (method == other) return true;
  return false;
}

}  // namespace weir::proxy
