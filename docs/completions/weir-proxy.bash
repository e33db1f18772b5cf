# SPDX-License-Identifier: Apache-2.0
# bash completion of weir-proxy: source it, or install it as /usr/share/bash-completion/completions/weir-proxy
_weir_proxy() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local flags="--agent --config --state-dir --concurrency --capture-ports --admin-port --status-port --health-port --metrics-port
    --drain-time --drain-limit --config-wait --detect-limit --follow --node-id --name --namespace --ip --domain --service-cluster
    --label --allow-root --no-heartbeat --heartbeat-interval --validate --log-level --version --help"
  case $before in
    -c | --config) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --state-dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    --log-level | --proxyLogLevel) mapfile -t COMPREPLY < <(compgen -W "debug info warn error" -- "$word") ;;
    --follow) mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word") ;;
    --agent) mapfile -t COMPREPLY < <(compgen -W "unix: localhost:15010" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word") ;;
  esac
}
complete -F _weir_proxy weir-proxy
