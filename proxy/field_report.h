// SPDX-License-Identifier: Apache-2.0
// "Nothing is silently half-understood": what a message holds beyond what the proxy acts on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"

namespace google::protobuf {
class Message;
}

namespace weir::proxy {

/// Adds a warning for each field that is set and stands neither in `known` (paths without indices, as
/// "circuit_breakers.thresholds.max_requests"; a path covers all below it) nor was already named by a problem of `object`, and
/// for each field that our subset of the API does not have.
void report_unknown_fields(const google::protobuf::Message& message, const std::vector<std::string_view>& known,
                           const std::string& object, std::vector<Problem>& problems);

}  // namespace weir::proxy
