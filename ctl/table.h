// SPDX-License-Identifier: Apache-2.0
// Columns as istioctl prints them: as wide as their widest cell, five blanks between.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::ctl {

/// For what others wrote (a dump, an agent's answer): control characters as \xNN, so that it stays on its line and commands no
/// terminal; UTF-8 stays as it is.
std::string on_one_line(std::string_view text);

/// Cells go through on_one_line. The first row is the head. "" where a row has fewer cells.
std::string columns(const std::vector<std::vector<std::string>>& rows);

}  // namespace weir::ctl
