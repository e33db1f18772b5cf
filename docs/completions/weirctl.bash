# SPDX-License-Identifier: Apache-2.0
# Made from the table of commands: weirctl completion bash
_weirctl() {
  local word=${COMP_WORDS[COMP_CWORD]} words="proxy-status proxy-config validate explain inject capture version completion help"
  case ${COMP_WORDS[COMP_CWORD-1]} in
    --direction) COMPREPLY=($(compgen -W "inbound outbound" -- "$word")); return ;;
    --family) COMPREPLY=($(compgen -W "4 6" -- "$word")); return ;;
    --output|-o) COMPREPLY=($(compgen -W "text json short" -- "$word")); return ;;
    --platform) COMPREPLY=($(compgen -W "kubernetes podman" -- "$word")); return ;;
    --protocol) COMPREPLY=($(compgen -W "http tcp tls" -- "$word")); return ;;
    --status) COMPREPLY=($(compgen -W "healthy unhealthy draining" -- "$word")); return ;;
    --type) COMPREPLY=($(compgen -W "HTTP TCP" -- "$word")); return ;;
    --rules) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --file|--mesh-config|--config-dump|--requests) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  [ "$COMP_CWORD" -gt 1 ] && case ${COMP_WORDS[1]} in
    proxy-status) words="--agent --output --help" ;;
    proxy-config) words="listeners routes clusters endpoints all --admin --pid --file --agent --proxy --fqdn --direction --subset --port --address --type --name --cluster --status --output --help" ;;
    validate) words="--mesh-config --domain --output --help" ;;
    explain) words="--rules --mesh-config --domain --config-dump --from --as --to --family --protocol --sni --method --path --header --capture --requests --output --help" ;;
    inject) words="--file --uninject --image --init-image --agent --cni --native-sidecars --platform --revision --start-gate --backend --state-dir --help" ;;
    capture) words="apply remove check explain --help" ;;
    version) words="--help" ;;
    completion) words="bash --help" ;;
    help) words="--help" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [ "${COMP_WORDS[1]}" = validate ] && COMPREPLY+=($(compgen -f -- "$word"))
}
complete -F _weirctl weirctl
