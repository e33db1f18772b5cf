// SPDX-License-Identifier: Apache-2.0
// Puts the plugin on a node and takes it off again: the binary, and our entry in the runtime's network configuration. Every step
// leaves the node working: the binary comes before the entry that names it, and goes after it. Killed between any two steps, the
// next run heals.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/whole_file.h"

namespace weir::cni {

/// What installing does to the node, a step each; injected, so that a test can stop it at any of them.
struct NodeFiles {
  std::function<Result<std::optional<std::vector<std::string>>>(const std::string& directory)> names = kernel::list_directory;
  std::function<Result<std::optional<kernel::WholeFile>>(const std::string& path)> read = kernel::read_whole;
  std::function<Result<>(const std::string& path, std::string_view bytes, mode_t mode)> replace = kernel::replace_whole;
  std::function<Result<bool>(const std::string& path)> remove = kernel::remove_whole;
  std::function<Result<>(const std::string& directory)> remove_temporary = kernel::remove_temporary;
  std::function<Result<>(const std::string& path)> make_directory = kernel::make_directory;
  std::function<bool(const std::string& path)> remove_empty_directory = kernel::remove_empty_directory;
};

/// Where everything goes.
struct Place {
  std::string net_dir = "/etc/cni/net.d";  ///< the runtime's network configuration, as this process sees it
  std::string bin_dir = "/opt/cni/bin";    ///< the runtime's plugins, likewise
  std::vector<std::string> conf_names;     ///< files of net_dir; empty: the one that the runtime takes, the first valid one
  bool drop_in = false;                    ///< net_dir/NETWORK/weir-cni.conf rather than an entry in another's file (libcni 1.3)
};

/// What one pass did or found.
struct Pass {
  std::vector<std::string> done;   ///< a sentence for each change; in a pass that only looks: for each that is to be made
  std::string waiting;             ///< what it waits for: there is no network configuration yet; "" if nothing
  std::vector<std::string> notes;  ///< files that the runtime passes over, and why
  bool is_whole() const { return done.empty() && waiting.empty(); }
};

/// Makes the node as it should be: `binary` as bin_dir/weir-cni, `entry` (a JSON object) in the chain. What is right already is
/// not touched. Where the entry stands in a way that `place` does not ask for (inline or as a drop-in), it is taken from there.
Result<Pass> install(const NodeFiles& files, const Place& place, std::string_view binary, std::string_view entry);

/// Changes nothing; `done` is what install() would do.
Result<Pass> look(const NodeFiles& files, const Place& place, std::string_view binary, std::string_view entry);

/// Takes our entry out of every file of net_dir, then the drop-ins, then the binary. Files that cannot be read as network
/// configuration are left.
Result<Pass> uninstall(const NodeFiles& files, const Place& place);

}  // namespace weir::cni
