# SPDX-License-Identifier: Apache-2.0
# bash completion for weir-agent
_weir_agent() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  case $before in
    --rules | --state-dir) COMPREPLY=($(compgen -d -- "$current")); return ;;
    --mesh-config) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --log-level) COMPREPLY=($(compgen -W "debug info warn error" -- "$current")); return ;;
    --listen) COMPREPLY=($(compgen -W "unix: 127.0.0.1:15010 [::1]:15010" -- "$current")); return ;;
    --debug-listen) COMPREPLY=($(compgen -W "unix: 127.0.0.1:15014 none" -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "--rules --listen --debug-listen --mesh-config --state-dir --domain --socket-mode --allow-plaintext --validate --log-level --help --version" -- "$current"))
}
complete -F _weir_agent weir-agent
