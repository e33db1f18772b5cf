// SPDX-License-Identifier: Apache-2.0
// A message written by a person as YAML or JSON, with the line of everything that is wrong.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"

namespace google::protobuf {
class Message;
}

namespace weir::proxy {

/// Lines by field path ("static_resources.clusters[0].name"), to find the place of later problems.
using FieldLines = std::map<std::string, int>;
/// The line of the longest known path that `path` begins with; 0 if none.
int line_of(const FieldLines& lines, std::string_view path);

/// Fills `into` by protobuf's JSON rules (field names as in the .proto or in camelCase, Durations "5s", enums by name, an Any by
/// "@type"). All problems at once: unknown fields (with a guess), duplicate keys, values of a wrong kind or range, broken YAML
/// or JSON.
std::vector<Problem> read_yaml(std::string_view file, std::string_view text, google::protobuf::Message& into, FieldLines& lines);

}  // namespace weir::proxy
