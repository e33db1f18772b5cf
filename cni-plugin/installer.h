// SPDX-License-Identifier: Apache-2.0
// `weir-cni install` as a node agent: puts the plugin in place and puts it back whenever somebody else writes over it.
#pragma once

#include <functional>
#include <string>

#include "base/duration.h"
#include "base/unique_fd.h"
#include "cni-plugin/install.h"

namespace weir::cni {

/// What the loop needs of the machine; injected, so that tests have no clock.
struct InstallerWorld {
  NodeFiles files;
  /// A text that changes whenever something in the directory does.
  std::function<Result<std::string>(const std::string& directory)> state = kernel::directory_state;
  /// The right to change this node until the descriptor is closed; nullopt: another installer has it.
  std::function<Result<std::optional<UniqueFd>>(const std::string& bin_dir)> lock = kernel::try_lock_directory;
  /// Waits; true: told to end (SIGTERM, SIGINT).
  std::function<bool(Nanoseconds)> wait;
  std::function<void(const std::string& line)> tell;
};

/// Keeps the node as install() makes it until it is told to end, and leaves all in place then: an agent that is replaced must not
/// leave pods without the plugin. Waits while another installer keeps the node. Looks once a second; whoever writes over our
/// entry again and again is named, and answered every five seconds only. Errors of one pass are told, and tried again.
Result<> keep_installed(const InstallerWorld& world, const Place& place, std::string_view binary, std::string_view entry);

/// uninstall(), unless an installer that would put all back keeps the node.
Result<Pass> uninstall_alone(const InstallerWorld& world, const Place& place);

/// Waits by signals of this process, tells on standard error.
InstallerWorld installer_world();

}  // namespace weir::cni
