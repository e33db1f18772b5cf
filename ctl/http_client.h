// SPDX-License-Identifier: Apache-2.0
// One GET to an admin or debug endpoint, waited for.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace weir::ctl {

/// `target`: "unix:PATH", "http://IP:PORT" ("localhost" is 127.0.0.1) or "IP:PORT". With `pid`, from the network namespace of
/// that process. Returns the body of a 200; other answers are errors (io) with their body. Errors guess the cause; the limit is
/// 10 s and 256 MiB.
Result<std::string> fetch(const std::string& target, const std::string& path, std::optional<int> pid);

}  // namespace weir::ctl
