// SPDX-License-Identifier: Apache-2.0
// Datagrams to a unix socket, as logs take them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::kernel {

/// Sends one datagram to whoever reads at `path` (/dev/log, /run/systemd/journal/socket). Never waits: a reader whose queue is
/// full is an error (EAGAIN). Callable from any thread.
Result<> send_datagram(const std::string& path, std::string_view bytes);

}  // namespace weir::kernel
