// SPDX-License-Identifier: Apache-2.0
// For tests: the shapes of what a CNI plugin prints, by the specification's words, written apart from the code that prints it.
#pragma once

#include <string>
#include <string_view>

namespace weir::cni::shapes {

/// "" if `out` is what `verb` may print with this exit code for a configuration of `version`; else what is wrong with it.
std::string wrong_with(std::string_view verb, std::string_view version, int exit_code, const std::string& out);

}  // namespace weir::cni::shapes
