// SPDX-License-Identifier: Apache-2.0
#include "http/clean_request.h"

#include <array>

#include "base/text.h"
#include "http/h1.h"

namespace weir::http {

namespace {

bool is_private_to_proxies(std::string_view name) {
  constexpr std::string_view kPrefix = "x-envoy-";
  if (name.size() <= kPrefix.size() || (name[0] | 0x20) != 'x' || name[1] != '-' ||
      !equals_ignore_case(name.substr(0, kPrefix.size()), kPrefix))
    return false;
  // Envoy's cleanInternalHeaders, the count that we write ourselves, and the name of the operation for a trace, which Envoy too
  // keeps from the workload.
  constexpr std::array<std::string_view, 17> kNames = {"retriable-status-codes",
                                                       "retriable-header-names",
                                                       "retry-on",
                                                       "retry-grpc-on",
                                                       "max-retries",
                                                       "upstream-alt-stat-name",
                                                       "upstream-rq-timeout-ms",
                                                       "upstream-rq-per-try-timeout-ms",
                                                       "upstream-rq-timeout-alt-response",
                                                       "expected-rq-timeout-ms",
                                                       "force-trace",
                                                       "ip-tags",
                                                       "original-url",
                                                       "hedge-on-per-try-timeout",
                                                       "attempt-count",
                                                       "original-dst-host",
                                                       "decorator-operation"};
  name.remove_prefix(kPrefix.size());
  for (std::string_view other : kNames)
    if (equals_ignore_case(name, other)) return true;
  return false;
}

}  // namespace

void clean_request(HeaderMap& headers, bool keep_upgrade, bool drop_client_cert) {
  remove_hop_by_hop(headers, keep_upgrade);
  headers.filter([&](const Field& field) {
    if (drop_client_cert && field.name.size() == 23 && equals_ignore_case(field.name, "x-forwarded-client-cert")) return false;
    return !is_private_to_proxies(field.name);
  });
}

}  // namespace weir::http
