// SPDX-License-Identifier: Apache-2.0
// What is printed: the specification's JSON shapes. Pure.
#pragma once

#include <string>
#include <string_view>

#include "cni-plugin/request.h"

namespace weir::cni {

/// {"cniVersion", "code", "msg", "details"}: `trace` ends the details, so that whoever reads the event finds the log line.
std::string error_json(const Failure& failure, std::string_view version, std::string_view trace);

/// What VERSION answers.
std::string version_json(std::string_view version);

/// What ADD answers: prevResult byte for byte, but for a cniVersion that is missing or another one; an empty result if there is
/// none.
std::string add_json(const Request& request);

}  // namespace weir::cni
