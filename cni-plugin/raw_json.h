// SPDX-License-Identifier: Apache-2.0
// Members of a JSON document as they were written, so that what is handed on stays byte for byte what it was.
#pragma once

#include <optional>
#include <string_view>

namespace weir::cni {

/// The text of the member `name` of the object that `document` is; of several the last, as Boost.JSON has it. nullopt: there is
/// none that is spelt so. `document` must have been parsed before: it is not checked here.
std::optional<std::string_view> raw_member(std::string_view document, std::string_view name);

}  // namespace weir::cni
