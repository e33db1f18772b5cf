// SPDX-License-Identifier: Apache-2.0
// weir-init: programs the redirection of the network namespace it is started in, and exits.
#include "init/program.h"

int main(int argc, char** argv) { return weir::init::run_here({argv + 1, argv + argc}); }
