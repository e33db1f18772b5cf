// SPDX-License-Identifier: Apache-2.0
// weir-cni: a CNI plugin, last in a chain, that captures a pod's traffic for a proxy.
#include "cni-plugin/program.h"

int main(int argc, char** argv) { return weir::cni::run_here({argv + 1, argv + argc}); }
