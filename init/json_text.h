// SPDX-License-Identifier: Apache-2.0
// JSON by hand, for answers of a few lines.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace weir::init {

/// ["a", "b"]
inline std::string json_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + json_quote(text);
  return "[" + list + "]";
}

}  // namespace weir::init
