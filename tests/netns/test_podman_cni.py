#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Podman pod without an init container: weir-cni, last in the network's chain, captures it from outside; the static weir-proxy, alone in
its image and without a capability, serves it. Podman hands over no annotations, so a network enrols all of its pods.

    this namespace: weir-agent (unix socket), a caller; networks "weir" (bridge, portmap, firewall, weir-cni) and "plain" (bridge)
      │ weir0 10.99.0.1 fd99::1
      └── veth ── pod 10.99.0.20 fd99::14, hostPort 18080
                  weir-proxy  uid 1337, no capability
                  app         uid 1000: samples' echo.py :8080, with the machine's /usr
"""
import json
import os
import pathlib
import shutil
import subprocess

import lab

lab.enter()

from podman import Podman, prepare, require, run  # noqa: E402

STATIC = pathlib.Path(os.environ.get("WEIR_STATIC", lab.REPO / "build-static/bin"))
POD4, POD6 = "10.99.0.20", "fd99::14"

require()
if not (STATIC / "weir-proxy").exists():
    lab.skip(f"{STATIC / 'weir-proxy'} is not built; run scripts/build-static")

RULES = f"""
apiVersion: v1
kind: Service
metadata: {{name: app, namespace: default}}
spec:
  selector: {{app: app}}
  clusterIP: 10.96.0.51
  clusterIPs: [10.96.0.51]
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: app, namespace: default, labels: {{kubernetes.io/service-name: app}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints: [{{addresses: [{POD4}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: app-1, namespace: default}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: app-1, namespace: default, labels: {{app: app}}}}
status: {{podIP: {POD4}, podIPs: [{{ip: {POD4}}}, {{ip: "{POD6}"}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app, namespace: default}}
spec:
  hosts: [app]
  http: [{{route: [{{destination: {{host: app}}}}], headers: {{request: {{set: {{x-by-rule: "yes"}}}}}}}}]
"""

base = prepare()
(base / "plugins").mkdir()
shutil.copy2(STATIC / "weir-cni" if (STATIC / "weir-cni").exists() else lab.program("weir-cni"), base / "plugins/weir-cni")
WEIR = {"type": "weir-cni", "enrol": "all", "log": str(base / "cni.log"), "state_dir": str(base / "cni"),
        "flags": {"istio-local-exclude-ports": "22", "start-gate": "hold:60s"}}
podman = Podman(base, [{"type": "portmap", "capabilities": {"portMappings": True}}, {"type": "firewall"}, WEIR], base / "plugins")
podman.network("plain", [{"type": "ptp", "ipam": {"type": "host-local", "dataDir": f"{base}/ipam", "ranges": [[{"subnet": "10.97.0.0/24"}]]}}])
podman.network("wrong", [{"type": "ptp", "ipam": {"type": "host-local", "dataDir": f"{base}/ipam", "ranges": [[{"subnet": "10.95.0.0/24"}]]}},
                         {**WEIR, "flags": {"istio-service-cidr": "everything"}}])
cases = lab.Cases()


def log():
    return [json.loads(line) for line in (base / "cni.log").read_text().splitlines()]


def records():
    return sorted(path.name for path in (base / "cni").iterdir())


def pid_of(container):
    return json.loads(podman("inspect", container).stdout)[0]["State"]["Pid"]


def call(url, *flags, of="app"):
    argv = ["curl", "-s", "-m", "5", *flags, url]
    done = podman("exec", of, *argv, check=False) if of else run(*argv, check=False)
    return json.loads(done.stdout) if done.stdout.startswith("{") else {}


def proxy_log():
    done = podman("logs", "proxy")
    return done.stdout + done.stderr


def captured_both_ways():
    lab.wait_for(lambda: "serving: " in proxy_log(), 15, "the proxy's configuration")
    answer = lab.wait_for(lambda: call("http://10.96.0.51:80/", "-H", "Host: app"), 15, "an answer by the application's own service")
    assert answer["pod"] == "app-1" and ["x-by-rule", "yes"] in answer["headers"], answer
    for address, source in ((POD4, "127.0.0.6"), (f"[{POD6}]", "::6")):
        answer = lab.wait_for(lambda: call(f"http://{address}:8080/", of=None), 10, "the application's answer")
        assert answer["peer"].removeprefix("::ffff:") == source, answer
    answer = call("http://10.99.0.1:18080/", of=None)
    assert answer["pod"] == "app-1" and answer["peer"].removeprefix("::ffff:") == "127.0.0.6", answer


with cases("a pod of a network whose chain ends with weir-cni is captured before its first program runs"):
    podman.image("weir-proxy", {"/weir-proxy": STATIC / "weir-proxy"}, 'ENTRYPOINT ["/weir-proxy"]')
    podman.image("app", {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"})
    (base / "rules").mkdir()
    (base / "rules/rules.yaml").write_text(RULES)
    (base / "mesh.yaml").write_text("accessLogFile: /dev/stdout\n")
    shutil.copytree(lab.REPO / "samples/bookinfo", base / "src")
    (base / "agent").mkdir()
    with open(base / "agent.log", "ab") as out:
        agent = subprocess.Popen([lab.program("weir-agent"), "--rules", base / "rules", "--mesh-config", base / "mesh.yaml", "--listen", f"unix:{base}/agent/agent.sock",
                                  "--socket-mode", "0666", "--debug-listen", "none"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    podman("pod", "create", "--name", "app-1", "--network", "weir", "--ip", POD4, "--ip6", POD6, "-p", "18080:8080")
    identity = {"POD_NAME": "app-1", "POD_NAMESPACE": "default", "INSTANCE_IP": POD4, "ISTIO_META_INSTANCE_IPS": f"{POD4},{POD6}",
                "TERMINATION_DRAIN_DURATION_SECONDS": "0"}
    podman("create", "--pod", "app-1", "--name", "proxy", "--user", "1337:1337", "--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges",
           "-v", f"{base}/agent:/agent:ro", *(word for name, value in identity.items() for word in ("-e", f"{name}={value}")),
           "localhost/weir-proxy:1", "proxy", "sidecar", "--agent", "unix:/agent/agent.sock", "--concurrency", "1")
    podman("create", "--pod", "app-1", "--name", "app", "--user", "1000:1000", "--cap-drop", "ALL", "-v", "/usr:/usr:ro", "-v", f"{base}/src:/src:ro",
           "-e", "PORT=8080", "-e", "POD_NAME=app-1", "localhost/app:1", "/usr/bin/python3", "-B", "/src/echo.py")
    podman("pod", "start", "app-1")
    assert log()[-1]["verb"] == "ADD" and log()[-1]["outcome"] == "enrolled" and len(records()) == 1, (log(), records())
    listed = run("nsenter", "-t", str(pid_of("proxy")), "-n", "nft", "list", "table", "inet", "weir").stdout
    assert "redirect to :15001" in listed and "redirect to :15006" in listed and "22, " in listed, listed

with cases("its calls go out and come in through weir-proxy, by the rule, in both families and by hostPort"):
    captured_both_ways()

with cases("stopped: nothing is left; started again: a new namespace, captured like the first"):
    podman("pod", "stop", "-t", "1", "app-1")
    assert log()[-1]["verb"] == "DEL" and log()[-1]["outcome"] in ("removed", "nothing-there") and not records(), (log()[-1], records())
    podman("pod", "start", "app-1")
    assert log()[-1]["outcome"] == "enrolled" and len(records()) == 1, log()[-1]
    captured_both_ways()

with cases("a pod of another network is not captured"):
    podman("run", "-d", "--name", "free", "--network", "plain", "-v", "/usr:/usr:ro", "localhost/app:1", "/usr/bin/sleep", "1000")
    listed = run("nsenter", "-t", str(pid_of("free")), "-n", "nft", "list", "ruleset").stdout
    assert "weir" not in listed, listed
    podman("rm", "-f", "-t", "0", "free")

with cases("a network whose flags are wrong starts no pod, says why, and leaves nothing"):
    done = podman("run", "--rm", "--network", "wrong", "-v", "/usr:/usr:ro", "localhost/app:1", "/usr/bin/true", check=False)
    assert done.returncode != 0 and "flags.istio-service-cidr" in done.stderr, done.stderr
    assert len(records()) == 1, records()

with cases("removed: no record is left"):
    podman("pod", "rm", "-f", "-t", "0", "app-1")
    assert not records(), records()

if cases.failed:
    for name in ("proxy", "app"):
        done = podman("logs", name, check=False)
        print(f"── {name} ──\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    print(f"── weir-cni ──\n{(base / 'cni.log').read_text()[-3000:]}\n── agent ──\n{(base / 'agent.log').read_text()[-1000:]}")
cases.finish()
