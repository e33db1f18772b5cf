// SPDX-License-Identifier: Apache-2.0
// The table of xDS fields. Internal to the room.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir::routing {

enum class FieldUse : std::uint8_t {
  used,         ///< acted on
  quiet,        ///< no effect that a user of weir could miss
  unsupported,  ///< reported as a warning (also the fate of every field that has no row)
  refused,      ///< an error: ignoring it would open a door or choose another route than was meant
};

struct FieldRule {
  std::string_view field;  ///< full name without the leading "envoy."
  FieldUse use;
  std::string_view note;  ///< completes the sentence "<path> …"
};

std::span<const FieldRule> field_rules();

}  // namespace weir::routing
