// SPDX-License-Identifier: Apache-2.0
#include "ctl/effects.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "base/text.h"

namespace weir::ctl {

namespace {

using routing::RetryOn;

constexpr std::pair<RetryOn, std::string_view> kRetryNames[] = {
    {RetryOn::five_xx, "5xx"},
    {RetryOn::gateway_error, "gateway-error"},
    {RetryOn::reset, "reset"},
    {RetryOn::reset_before_request, "reset-before-request"},
    {RetryOn::connect_failure, "connect-failure"},
    {RetryOn::retriable_4xx, "retriable-4xx"},
    {RetryOn::refused_stream, "refused-stream"},
    {RetryOn::cancelled, "cancelled"},
    {RetryOn::deadline_exceeded, "deadline-exceeded"},
    {RetryOn::internal, "internal"},
    {RetryOn::resource_exhausted, "resource-exhausted"},
    {RetryOn::unavailable, "unavailable"},
    {RetryOn::envoy_ratelimited, "envoy-ratelimited"},
    {RetryOn::retriable_headers, "retriable-headers"},
};

std::string seconds(routing::Milliseconds time) { return fmt::format("{} s", static_cast<double>(time.count()) / 1000); }

void add_edits(std::string_view which, const routing::HeaderEdits& edits, std::vector<std::string>& out) {
  for (const routing::HeaderValue& header : edits.set)
    out.push_back(fmt::format("{} header {} {} \"{}\"", which, printable(header.name),
                              header.action == routing::HeaderValue::Action::append ? "gets" : "becomes",
                              printable(header.value)));
  for (const std::string& name : edits.remove) out.push_back(fmt::format("{} header {} goes", which, printable(name)));
}

}  // namespace

std::string retry_text(const routing::RetryPolicy& policy) {
  std::vector<std::string> words;
  for (const auto& [bit, name] : kRetryNames)
    if (policy.has(bit)) words.emplace_back(name);
  if (policy.has(RetryOn::retriable_status_codes))
    for (std::uint16_t code : policy.status_codes) words.push_back(std::to_string(code));
  return join(words, ",");
}

void add_effects(const routing::Fault& fault, std::vector<std::string>& out) {
  if (fault.delay)
    out.push_back(fmt::format("fault: {} % of the requests wait {}", fault.delay_share.per_million / 1e4, seconds(*fault.delay)));
  if (fault.abort_status)
    out.push_back(fmt::format("fault: {} % of the requests are answered {} by the proxy", fault.abort_share.per_million / 1e4,
                              *fault.abort_status));
  else if (fault.abort_grpc_status)
    out.push_back(fmt::format("fault: {} % of the requests are answered gRPC status {} by the proxy",
                              fault.abort_share.per_million / 1e4, *fault.abort_grpc_status));
}

void add_effects(const routing::Route& route, const routing::Forward& forward, std::vector<std::string>& out) {
  if (forward.timeout.count() > 0) out.push_back(fmt::format("timeout {}: then 504", seconds(forward.timeout)));
  if (forward.retry.on != 0 && forward.retry.retries > 0) {
    std::string text = fmt::format("up to {} more {} on {}", forward.retry.retries, forward.retry.retries == 1 ? "try" : "tries",
                                   retry_text(forward.retry));
    if (forward.retry.per_try_timeout.count() > 0)
      text += fmt::format(", each at most {}", seconds(forward.retry.per_try_timeout));
    out.push_back(std::move(text));
  }
  add_edits("request", route.request_headers, out);
  add_edits("response", route.response_headers, out);
  for (const routing::WeightedCluster& cluster : forward.clusters) {
    add_edits(fmt::format("to {}: request", cluster.cluster), cluster.request_headers, out);
    add_edits(fmt::format("from {}: response", cluster.cluster), cluster.response_headers, out);
    if (forward.clusters.size() > 1 && !cluster.host_rewrite.empty())
      out.push_back(fmt::format("to {}: Host becomes \"{}\"", cluster.cluster, printable(cluster.host_rewrite)));
  }
  for (const routing::Mirror& mirror : forward.mirrors)
    out.push_back(fmt::format("{} % of the requests are copied to {}", mirror.share.per_million / 1e4, mirror.cluster));
}

}  // namespace weir::ctl
