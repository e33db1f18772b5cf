# SPDX-License-Identifier: Apache-2.0
"""A stock Envoy in a pod of the lab, in weir-proxy's place: same uid, same ports, same agent. scripts/get-envoy fetches it.

It has nothing but a bootstrap with the agent's socket in it: all else comes over ADS.
"""
import json
import os
import re

import lab

VERSION = "1.40.0"


def require():
    """Ends the test as skipped if Envoy is not where scripts/get-envoy puts it."""
    if not any(lab.REPO.glob("build/venv/lib/python3*/site-packages/envoy/_bin/envoy")):
        lab.skip("no Envoy in build/venv; scripts/get-envoy fetches it (needs a package index)")


def bootstrap(pod):
    options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ads = {"ads": {}, "resource_api_version": "V3"}
    agent = {"endpoint": {"address": {"pipe": {"path": str(pod.lab.agent_socket)}}}}
    return {
        "node": {"id": f"sidecar~{pod.ip4}~{pod.name}.{pod.namespace}~{pod.namespace}.svc.cluster.local", "cluster": f"{pod.name}.{pod.namespace}",
                 "metadata": {"NAMESPACE": pod.namespace, "INSTANCE_IPS": f"{pod.ip4},{pod.ip6}", "LABELS": pod.spec["metadata"].get("labels", {})}},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "agent"}}]},
            "lds_config": ads, "cds_config": ads},
        "static_resources": {"clusters": [{
            "name": "agent", "type": "STATIC",
            "typed_extension_protocol_options": {options.rpartition("/")[2]: {"@type": options, "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": {"cluster_name": "agent", "endpoints": [{"lb_endpoints": [agent]}]}}]},
    }


def start(pod):
    """Starts Envoy in the pod as its proxy (`pod.proxy`) and waits until it is ready."""
    config = pod.lab.run_dir / f"{pod.name}.envoy.json"
    config.write_text(json.dumps(bootstrap(pod)))
    # Envoy opens /dev/stdout by its name, so the file must be its own.
    log = pod.lab.logs / f"{pod.name}.access.log"
    log.touch()
    os.chown(log, lab.PROXY_UID, lab.PROXY_UID)
    argv = [pod.lab.base / "bin/envoy", "-c", config, "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart", "--file-flush-interval-msec", "100"]
    pod.proxy = pod.start(argv, log.name, uid=lab.PROXY_UID, stderr=f"{pod.name}.proxy.log")
    pod.wait_ready()


def updates(pod):
    """{type: (accepted, rejected)}: how many updates of each type Envoy took and refused, by its own counters, over all that it subscribed to."""
    kinds = {"CDS": r"cluster_manager\.cds\.", "LDS": r"listener_manager\.lds\.", "RDS": r"http\..*\.rds\..*\.", "EDS": r"cluster\..*outbound.*\."}
    text = pod.admin("/stats?filter=update_(success|rejected)$")
    count = {kind: [0, 0] for kind in kinds}
    for name, value in re.findall(r"^(\S.*): (\d+)$", text, re.M):
        for kind, pattern in kinds.items():
            if re.fullmatch(pattern + "update_(success|rejected)", name):
                count[kind][name.endswith("rejected")] += int(value)
    return {kind: tuple(pair) for kind, pair in count.items()}
