// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_route.h"
#include "xds/proto/previous_hosts.pb.h"

namespace weir::routing {

namespace {

struct Word {
  std::string_view text;
  RetryOn bit;
};

constexpr Word kWords[] = {
    {"5xx", RetryOn::five_xx},
    {"gateway-error", RetryOn::gateway_error},
    {"reset", RetryOn::reset},
    {"reset-before-request", RetryOn::reset_before_request},
    {"connect-failure", RetryOn::connect_failure},
    {"retriable-4xx", RetryOn::retriable_4xx},
    {"refused-stream", RetryOn::refused_stream},
    {"retriable-status-codes", RetryOn::retriable_status_codes},
    {"retriable-headers", RetryOn::retriable_headers},
    {"envoy-ratelimited", RetryOn::envoy_ratelimited},
    {"cancelled", RetryOn::cancelled},
    {"deadline-exceeded", RetryOn::deadline_exceeded},
    {"internal", RetryOn::internal},
    {"resource-exhausted", RetryOn::resource_exhausted},
    {"unavailable", RetryOn::unavailable},
};

std::uint32_t compile_words(const std::string& list, const std::string& path, CompileContext& context) {
  std::uint32_t bits = 0;
  std::vector<std::string_view> known;
  for (const Word& word : kWords) known.push_back(word.text);
  for (std::string_view part : split(list, ',')) {
    part = trim(part);
    if (part.empty() || part == "http3-post-connect-failure") continue;  // no HTTP/3 upstream: it never happens
    bool found = false;
    for (const Word& word : kWords) {
      if (word.text != part) continue;
      bits |= static_cast<std::uint32_t>(word.bit);
      found = true;
    }
    if (found) continue;
    std::string_view near = nearest(part, known);
    std::string hint = near.empty() ? "" : fmt::format("; did you mean {}?", near);
    context.not_supported(fmt::format("retry_on {}", part), path,
                          fmt::format("\"{}\" is no retry condition{}", printable(part), hint));
  }
  return bits;
}

bool is_previous_hosts(const route_v3::RetryPolicy::RetryHostPredicate& predicate) {
  using envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
  return predicate.name() == "envoy.retry_host_predicates.previous_hosts" ||
         predicate.typed_config().Is<PreviousHostsPredicate>();
}

}  // namespace

RetryPolicy compile_retry(const route_v3::RetryPolicy& policy, const std::string& path, CompileContext& context) {
  RetryPolicy compiled;
  compiled.on = compile_words(policy.retry_on(), path + ".retry_on", context);
  if (policy.has_num_retries()) compiled.retries = policy.num_retries().value();
  if (policy.has_per_try_timeout()) {
    compiled.per_try_timeout = to_milliseconds(policy.per_try_timeout(), path + ".per_try_timeout", context);
  }
  if (policy.has_retry_back_off()) {
    const std::string here = path + ".retry_back_off";
    compiled.base_interval = to_milliseconds(policy.retry_back_off().base_interval(), here + ".base_interval", context);
    if (compiled.base_interval.count() == 0) context.error(here + ".base_interval", "it is 0s", "use 1ms or more");
    compiled.max_interval = 10 * compiled.base_interval;
    if (policy.retry_back_off().has_max_interval()) {
      compiled.max_interval = to_milliseconds(policy.retry_back_off().max_interval(), here + ".max_interval", context);
      if (compiled.max_interval < compiled.base_interval) context.error(here + ".max_interval", "it is below base_interval");
    }
  }
  for (std::uint32_t code : policy.retriable_status_codes()) {
    if (code < 100 || code > 599) {
      context.error(path + ".retriable_status_codes", fmt::format("status {} does not exist", code), "use 100 to 599");
    }
    compiled.status_codes.push_back(static_cast<std::uint16_t>(code));
  }
  for (int i = 0; i < policy.retry_host_predicate_size(); ++i) {
    const auto& predicate = policy.retry_host_predicate(i);
    if (is_previous_hosts(predicate)) {
      compiled.avoid_previous_hosts = true;
    } else {
      context.not_supported("retry_host_predicate " + predicate.name(), fmt::format("{}.retry_host_predicate[{}]", path, i),
                            fmt::format("predicate \"{}\" is not known", printable(predicate.name())));
    }
  }
  std::int64_t attempts = policy.host_selection_retry_max_attempts();
  if (attempts > 0) compiled.host_attempts = static_cast<std::uint32_t>(std::min<std::int64_t>(attempts, 1000));
  return compiled;
}

}  // namespace weir::routing
