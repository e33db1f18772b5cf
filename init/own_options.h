// SPDX-License-Identifier: Apache-2.0
// What weir-init has besides capture's option table: verbs and a few flags. Help, man page and completion read it too.
#pragma once

#include <span>
#include <string_view>

#include "init/command_line.h"

namespace weir::init {

struct VerbRow {
  std::string_view name;
  Verb verb;
  std::string_view meaning;
  bool is_hidden = false;
};
std::span<const VerbRow> verb_rows();

struct OwnOption {
  char short_name = 0;
  std::string_view name;
  std::string_view value_name;  ///< "": a switch
  std::string_view meaning;
  bool only_explain = false;
};
std::span<const OwnOption> own_options();

}  // namespace weir::init
