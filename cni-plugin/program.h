// SPDX-License-Identifier: Apache-2.0
// weir-cni without its process: what it says to a person, who calls it without CNI_COMMAND.
#pragma once

#include <string>
#include <vector>

namespace weir::cni {

struct Printed {
  int exit_code = 0;
  std::string out, err;
};
/// `arguments` without the program's name.
Printed talk(const std::vector<std::string>& arguments);

std::string help_text();
std::string man_page();
std::string bash_completion();

/// weir-cni as it is: environment, standard input and output of this process; the exit code.
int run_here(const std::vector<std::string>& arguments);

}  // namespace weir::cni
