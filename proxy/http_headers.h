// SPDX-License-Identifier: Apache-2.0
// What a proxy does to heads (Envoy's rules, case and order kept). Pure; no sockets, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/clean_request.h"
#include "http/h1.h"
#include "proxy/context.h"
#include "routing/route_table.h"

namespace weir::proxy {

using http::clean_request;

/// "6f1c…": a random UUID (RFC 9562, version 4) of 36 characters.
void append_uuid(std::string& out, Random& random);

/// Request line and fields as they go upstream: chunked framing is said again, Host is `authority` where it was changed.
void write_upstream_head(std::string& out, const http::RequestHead& head, std::string_view target);

/// How a response goes to the client.
struct ResponsePlan {
  http::Framing framing = http::Framing::none;
  bool close = false;  ///< the connection ends with it
};
/// `wants_keep_alive`: the client does, and so do we. HTTP/1.0 clients get no chunks.
ResponsePlan plan_response(const http::ResponseHead& head, http::Version client, bool wants_keep_alive);

/// Status line and fields of a response to a client of version `client`.
void write_client_head(std::string& out, std::uint16_t status, std::string_view reason, const http::HeaderMap& headers,
                       const ResponsePlan& plan, http::Version client);

/// Applies edits in Envoy's order: removals first. `expand(value, out)` appends what a formatted value stands for.
template <class Expand>
void apply_edits(http::HeaderMap& headers, const routing::HeaderEdits& edits, Expand expand) {
  for (const std::string& name : edits.remove) headers.remove(name);
  std::string expanded;
  for (const routing::HeaderValue& edit : edits.set) {
    std::string_view value = edit.value;
    if (edit.formatted) {
      expanded.clear();
      expand(edit, expanded);
      value = expanded;
    }
    using Action = routing::HeaderValue::Action;
    switch (edit.action) {
      case Action::append: headers.append(edit.name, value); break;
      case Action::add_if_absent:
        if (!headers.has(edit.name)) headers.append(edit.name, value);
        break;
      case Action::overwrite: headers.set(edit.name, value); break;
      case Action::overwrite_if_exists:
        if (headers.has(edit.name)) headers.set(edit.name, value);
        break;
    }
  }
}

/// gRPC's status for an HTTP one (grpc.io: HTTP to gRPC status code mapping).
unsigned grpc_status_of(std::uint16_t http_status);
bool is_grpc(const http::HeaderMap& headers);
/// GET, HEAD, OPTIONS, PUT, DELETE, TRACE (RFC 9110, 9.2.2): may be sent twice.
bool is_idempotent(std::string_view method);

}  // namespace weir::proxy
