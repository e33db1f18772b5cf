// SPDX-License-Identifier: Apache-2.0
// A runtime's network configuration file as text: our entry goes into its chain and out of it again, and all that others wrote
// stays as it is, byte for byte. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::cni {

/// The "type" of our entry, which is also the name of the binary.
inline constexpr std::string_view kPluginType = "weir-cni";

/// One network configuration, as far as a chain is concerned.
struct ChainFile {
  std::string name;                  ///< of the network
  std::string cni_version;           ///< "" if there is none
  bool is_list = false;              ///< a configuration list (.conflist); otherwise one plugin (.conf)
  std::vector<std::string> types;    ///< of the chain's plugins, in order
  bool loads_only_inlined = false;   ///< loadOnlyInlinedPlugins: the drop-in directory is not read
  std::optional<std::string> entry;  ///< our entry's text as it stands there
};

/// Reads one. Errors (usage): no JSON, no name, no plugins, a plugin without a type, our entry twice; as libcni's loader, which
/// passes over such files (libcni/conf.go).
Result<ChainFile> read_chain(std::string_view text);

/// The text with our entry, which is a JSON object, at the end of the chain; where it stands already it is replaced in place. A
/// single plugin becomes a list of its name and version that remembers `file_name`, where it stood. The same text if nothing
/// changes. Errors as read_chain.
Result<std::string> with_entry(std::string_view text, std::string_view entry, std::string_view file_name = "");

/// The text without our entry. A list that with_entry() made of a single plugin becomes that plugin again; nullopt: ours was the
/// only one. The same text if there was none. Errors as read_chain.
Result<std::optional<std::string>> without_entry(std::string_view text);

/// The file name that with_entry() remembered when it made this list of a single plugin; nullopt: it is no such list.
std::optional<std::string> made_from(std::string_view text);

}  // namespace weir::cni
