// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/spec.h"

#include <algorithm>

namespace weir::cni {

namespace {

struct VerbRow {
  Verb verb;
  std::string_view name;
  std::string_view since;
};
constexpr VerbRow kVerbs[] = {{Verb::add, "ADD", "0.1.0"}, {Verb::check, "CHECK", "0.4.0"},
                              {Verb::del, "DEL", "0.1.0"}, {Verb::status, "STATUS", "1.1.0"},
                              {Verb::gc, "GC", "1.1.0"},   {Verb::version, "VERSION", "0.1.0"}};
constexpr std::string_view kVersions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

const VerbRow& row(Verb verb) {
  return *std::find_if(std::begin(kVerbs), std::end(kVerbs), [&](const VerbRow& candidate) { return candidate.verb == verb; });
}

}  // namespace

std::string_view name(Verb verb) { return row(verb).name; }
std::string_view first_version_with(Verb verb) { return row(verb).since; }

std::optional<Verb> verb_of(std::string_view name) {
  for (const VerbRow& candidate : kVerbs)
    if (candidate.name == name) return candidate.verb;
  return std::nullopt;
}

std::span<const std::string_view> supported_versions() { return kVersions; }

bool is_supported(std::string_view version) {
  return std::find(std::begin(kVersions), std::end(kVersions), version) != std::end(kVersions);
}

bool is_at_least(std::string_view version, std::string_view least) {
  return std::find(std::begin(kVersions), std::end(kVersions), version) >=
         std::find(std::begin(kVersions), std::end(kVersions), least);
}

}  // namespace weir::cni
