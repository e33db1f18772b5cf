# SPDX-License-Identifier: Apache-2.0
# Made from the option table: weir-init completion
_weir_init() {
  local word=${COMP_WORDS[COMP_CWORD]}
  case ${COMP_WORDS[COMP_CWORD-1]} in
    --output) COMPREPLY=($(compgen -W "text json" -- "$word")); return ;;
    --backend) COMPREPLY=($(compgen -W "nft iptables-nft iptables-legacy auto" -- "$word")); return ;;
    --from) COMPREPLY=($(compgen -W "app root proxy outside" -- "$word")); return ;;
  esac
  COMPREPLY=($(compgen -W "apply remove check explain self-test watch --envoy-port --inbound-capture-port --inbound-tunnel-port --proxy-uid --proxy-gid --istio-inbound-interception-mode --istio-inbound-ports --istio-local-exclude-ports --istio-exclude-interfaces --istio-service-cidr --istio-service-exclude-cidr --istio-outbound-ports --istio-local-outbound-ports-exclude --kube-virt-interfaces --istio-inbound-tproxy-mark --istio-inbound-tproxy-route-table --dry-run --start-gate --iptables-probe-port --probe-timeout --skip-rule-apply --run-validation --redirect-dns --capture-all-dns --drop-invalid --dual-stack --reconcile --cleanup-only --force-apply --force-iptables-binary --native-nftables --backend --when-proxy-down --on-missing-family --proxy-mark --proxy-cgroups --exclude-uids --exclude-cgroups --exclude-outbound --exclude-inbound --exclude-domains --quic --quic-ports --live --drain-timeout --wait --output --repair --help --version --as --from --uid --gid --mark --cgroup --to --source --interface --sandbox-ip --udp --excluded-domain --gate-closed --proxy-down --stray --trace" -- "$word"))
}
complete -F _weir_init weir-init
