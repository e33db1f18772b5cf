// SPDX-License-Identifier: Apache-2.0
// What every object of the rules has: a kind, a name, a place in a file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "base/problem.h"

namespace weir::mesh {

/// The kinds that are kept in the Store.
enum class Kind : std::uint8_t { service, endpoint_slice, endpoints, pod, virtual_service, destination_rule };

/// "Service", "VirtualService" …
std::string_view to_text(Kind kind);

using Labels = std::map<std::string, std::string>;

/// True if every pair of `wanted` is in `labels`. No wanted pair: true.
bool contains_all(const Labels& labels, const Labels& wanted);

/// Identity of an object. Ordered by kind, then name, then namespace: without a creationTimestamp Istio's order "oldest first,
/// ties by name, then namespace" is this one.
struct ObjectKey {
  Kind kind = Kind::service;
  std::string ns;
  std::string name;

  /// "VirtualService default/reviews": the form used in problems, xDS metadata and access logs.
  std::string to_text() const;

  friend bool operator==(const ObjectKey&, const ObjectKey&) = default;
  friend bool operator<(const ObjectKey& a, const ObjectKey& b) {
    return std::tie(a.kind, a.name, a.ns) < std::tie(b.kind, b.name, b.ns);
  }
};

struct Meta {
  ObjectKey key;
  Labels labels;
  Labels annotations;
  SourceRef where;  ///< the object's first line

  const std::string& name() const { return key.name; }
  const std::string& ns() const { return key.ns; }
};

}  // namespace weir::mesh
