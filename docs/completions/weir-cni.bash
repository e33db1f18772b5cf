# SPDX-License-Identifier: Apache-2.0
# Made by: weir-cni completion
_weir_cni() {
  local words="install uninstall --help --version"
  if [[ $COMP_CWORD -gt 1 ]]; then words="--cni-net-dir --cni-bin-dir --cni-conf-name --plugin-config --drop-in --once --check --output"; fi
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _weir_cni weir-cni
