# SPDX-License-Identifier: Apache-2.0
# Made by: weir-cni completion
_weir_cni() {
  COMPREPLY=($(compgen -W "--help --version" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _weir_cni weir-cni
