// SPDX-License-Identifier: Apache-2.0
// The verb watch: keeps the addresses of excluded domains, until it is told to end.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace weir::init {

/// Resolves the names and keeps their addresses in the sets of this network namespace, until SIGTERM or SIGINT; tells what
/// changes on standard error. Sets that go away and come again (another apply) are filled again within ten seconds. Error at
/// once: they are not there, or may not be changed.
Result<> watch_domains(const std::vector<std::string>& names);

}  // namespace weir::init
