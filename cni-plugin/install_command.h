// SPDX-License-Identifier: Apache-2.0
// The words `install` and `uninstall` of weir-cni's command line.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cni-plugin/installer.h"
#include "cni-plugin/program.h"

namespace weir::cni {

struct InstallFlag {
  std::string_view name;      ///< with its dashes
  std::string_view value;     ///< "" for a switch
  std::string_view variable;  ///< the environment's, for whoever does not give the flag; "" if none
  std::string_view meaning;
  bool is_for_uninstall = false;
};
/// For the reader, the help, the manual and the completion.
std::span<const InstallFlag> install_flags();

/// True for the words that run_install() knows.
bool is_install_word(std::string_view word);

/// `arguments` begin with the word. `binary` is what goes to the node as weir-cni. Runs until told to end, unless --once or
/// --check is given. Exit codes as all programs': 0, 1 usage, 2 environment, 126 --check found something.
Printed run_install(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment,
                    const InstallerWorld& world, std::string_view binary);

}  // namespace weir::cni
