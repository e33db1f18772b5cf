// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace weir::mesh {

/// Markdown table of every field that we know of each kind, and what we do with it; made from the rows that also read them.
std::string describe_fields();

}  // namespace weir::mesh
