// SPDX-License-Identifier: Apache-2.0
// The rules in force as bytes of one file, so that an object that is broken when the agent starts keeps its last good form. Pure;
// main writes the file.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mesh-rules/object.h"

namespace weir::agent {

/// Texts from which the objects in force were read. A file that is partly broken is there several times: as it stands, and as it
/// stood when the objects that are broken now were sound.
struct LastGood {
  struct Source {
    std::string file;  ///< as in problems
    std::string text;
    std::vector<mesh::ObjectKey> objects;  ///< those whose form in force is the one in this text
  };
  std::vector<Source> sources;
  std::optional<std::string> mesh_config;  ///< the text of the settings in force
};

/// Layout: "weir-rules\0", u32 format, u64 XXH3 of the rest, then counts and length-prefixed strings; little endian.
std::string encode(const LastGood& good);
/// Errors (protocol) say whether it is no such file, another format, damaged or cut short. Never trusts a length.
Result<LastGood> decode(std::string_view bytes);

}  // namespace weir::agent
