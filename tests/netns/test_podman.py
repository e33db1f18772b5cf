#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Podman pod as Kubernetes would make it, all images made here: the static weir-init as init container (istio-init's own command
line), the static weir-proxy, each alone in its image with a read-only root, and an application.

    this namespace: weir-agent (unix socket), reviews v1 and v2 on addresses of the bridge, a caller
      │ weir0 10.99.0.1 fd99::1    10.99.0.101 (v1)  10.99.0.102 (v2)
      └── veth ── pod 10.99.0.20 fd99::14
                  weir-init   uid 0, NET_ADMIN alone, runs to its end first
                  weir-proxy  uid 1337, no capability
                  app         uid 1000: samples' echo.py :8080, with the machine's /usr

Podman's storage, network and processes stand in mount, network and process-id namespaces of their own: nothing stays.
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
POD4, POD6, V1, V2, VIP = "10.99.0.20", "fd99::14", "10.99.0.101", "10.99.0.102", "10.96.0.50"
ISTIO_INIT = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020",
              "--log_output_level=default:info"]

require()
for program in ("weir-init", "weir-proxy"):
    if not (STATIC / program).exists():
        lab.skip(f"{STATIC / program} is not built; run scripts/build-static")

RULES = f"""
apiVersion: v1
kind: Service
metadata: {{name: reviews, namespace: default}}
spec:
  selector: {{app: reviews}}
  clusterIP: {VIP}
  clusterIPs: [{VIP}]
  ports: [{{name: http, port: 9080, targetPort: 9080}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: reviews-1, namespace: default, labels: {{kubernetes.io/service-name: reviews}}}}
addressType: IPv4
ports: [{{name: http, port: 9081, protocol: TCP}}]
endpoints: [{{addresses: [{V1}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: reviews-v1, namespace: default}}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: reviews-2, namespace: default, labels: {{kubernetes.io/service-name: reviews}}}}
addressType: IPv4
ports: [{{name: http, port: 9082, protocol: TCP}}]
endpoints: [{{addresses: [{V2}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: reviews-v2, namespace: default}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: reviews-v1, namespace: default, labels: {{app: reviews, version: v1}}}}
status: {{podIP: {V1}, podIPs: [{{ip: {V1}}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: reviews-v2, namespace: default, labels: {{app: reviews, version: v2}}}}
status: {{podIP: {V2}, podIPs: [{{ip: {V2}}}]}}
---
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
kind: DestinationRule
metadata: {{name: reviews, namespace: default}}
spec: {{host: reviews, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: default}}
spec:
  hosts: [reviews]
  http:
    - match: [{{headers: {{end-user: {{exact: jason}}}}}}]
      route: [{{destination: {{host: reviews, subset: v2}}}}]
    - route: [{{destination: {{host: reviews, subset: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app, namespace: default}}
spec:
  hosts: [app]
  http: [{{route: [{{destination: {{host: app}}}}], headers: {{request: {{set: {{x-by-rule: "yes"}}}}}}}}]
"""


base = prepare()
processes = []


def start(*argv, log, **options):
    with open(base / log, "ab") as out:
        processes.append(subprocess.Popen([str(word) for word in argv], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options))
    return processes[-1]


cases = lab.Cases()
podman = Podman(base)

with cases("images of one program each, and a pod that ran its init container"):
    podman.image("weir-init", {"/weir-init": STATIC / "weir-init"}, 'ENTRYPOINT ["/weir-init"]')
    podman.image("weir-proxy", {"/weir-proxy": STATIC / "weir-proxy"}, 'ENTRYPOINT ["/weir-proxy"]')
    podman.image("app", {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"})
    (base / "rules").mkdir()
    (base / "rules/rules.yaml").write_text(RULES)
    (base / "mesh.yaml").write_text("accessLogFile: /dev/stdout\n")
    shutil.copytree(lab.REPO / "samples/bookinfo", base / "src")
    (base / "agent").mkdir()
    agent = start(lab.program("weir-agent"), "--rules", base / "rules", "--mesh-config", base / "mesh.yaml", "--listen", f"unix:{base}/agent/agent.sock",
                  "--socket-mode", "0666", "--debug-listen", "none", log="agent.log")
    podman("pod", "create", "--name", "app-1", "--network", "weir", "--ip", POD4, "--ip6", POD6)
    podman("create", "--pod", "app-1", "--name", "init", "--init-ctr", "always", "--user", "0", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--read-only",
           "--security-opt", "no-new-privileges", "localhost/weir-init:1", *ISTIO_INIT)
    identity = {"POD_NAME": "app-1", "POD_NAMESPACE": "default", "INSTANCE_IP": POD4, "ISTIO_META_INSTANCE_IPS": f"{POD4},{POD6}",
                "TERMINATION_DRAIN_DURATION_SECONDS": "0"}
    podman("create", "--pod", "app-1", "--name", "proxy", "--user", "1337:1337", "--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges",
           "-v", f"{base}/agent:/agent:ro", *(word for name, value in identity.items() for word in ("-e", f"{name}={value}")),
           "localhost/weir-proxy:1", "proxy", "sidecar", "--agent", "unix:/agent/agent.sock", "--concurrency", "1")
    podman("create", "--pod", "app-1", "--name", "app", "--user", "1000:1000", "--cap-drop", "ALL", "-v", "/usr:/usr:ro", "-v", f"{base}/src:/src:ro",
           "-e", "PORT=8080", "-e", "POD_NAME=app-1", "localhost/app:1", "/usr/bin/python3", "-B", "/src/echo.py")
    podman("pod", "start", "app-1")
    said = podman("logs", "init")
    assert "applied" in said.stdout + said.stderr, said
    state = json.loads(podman("inspect", "init").stdout)[0]["State"]
    assert state["ExitCode"] == 0, state
    for address in (V1, V2):
        run("ip", "addr", "add", f"{address}/32", "dev", "weir0")
    for version, port in (("v1", 9081), ("v2", 9082)):
        start(lab.PYTHON, "-B", base / "src/echo.py", log="reviews.log", env={"PORT": str(port), "VERSION": version, "POD_NAME": f"reviews-{version}"})


def proxy_log():
    done = podman("logs", "proxy")
    return done.stdout + done.stderr


def logged(**wanted):
    """The last line of the proxy's log that says so, once it is written."""
    def found():
        return [entry for entry in map(lab.parse_log_line, proxy_log().splitlines()) if entry and all(entry[key].startswith(value) for key, value in wanted.items())]
    return lab.wait_for(found, 5, f"a log line with {wanted}")[-1]


def pid_of(container):
    return json.loads(podman("inspect", container).stdout)[0]["State"]["Pid"]


def call(url, *flags, of="app"):
    """What a program of the pod gets, or one of this namespace: echo.py's answer, {} if there is none."""
    argv = ["curl", "-s", "-m", "5", *flags, url]
    done = podman("exec", of, *argv, check=False) if of else run(*argv, check=False)
    return json.loads(done.stdout) if done.stdout.startswith("{") else {}


with cases("the proxy has no capability, no user that its image knows, and serves"):
    with open(f"/proc/{pid_of('proxy')}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["Uid"].split() == ["1337"] * 4 and all(int(status[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd")), status
    lab.wait_for(lambda: "serving: " in proxy_log(), 15, "the proxy's configuration")

with cases("the kernel's rules are the init container's, as nft sees them from outside"):
    listed = run("nsenter", "-t", str(pid_of("proxy")), "-n", "nft", "list", "table", "inet", "weir").stdout
    assert "redirect to :15001" in listed and "redirect to :15006" in listed, listed

with cases("a call of the application is captured and routed by the rule"):
    for flags, expected in (((), "v1"), (("-H", "end-user: jason"), "v2")):
        lab.wait_for(lambda: call(f"http://{VIP}:9080/", "-H", "Host: reviews:9080", *flags).get("version") == expected, 10, f"an answer of {expected}")
    entry = logged(downstream_local=f"{VIP}:9080", cluster="outbound|9080|v2|reviews.default.svc.cluster.local")
    assert entry["rule"] == "VirtualService default/reviews", entry["line"]

with cases("a call of another host is captured and routed to the application, in both families"):
    for address, source in ((POD4, "127.0.0.6"), (f"[{POD6}]", "::6")):
        answer = lab.wait_for(lambda: call(f"http://{address}:8080/", of=None), 10, "the application's answer")
        assert answer["pod"] == "app-1" and answer["peer"].removeprefix("::ffff:") == source, answer
        entry = logged(downstream_local=f"{address}:8080")
        assert entry["cluster"] == "inbound|8080||", entry["line"]

with cases("a call of the application to its own service goes out by the rule, and in again"):
    answer = call("http://10.96.0.51:80/", "-H", "Host: app")
    assert answer["pod"] == "app-1" and ["x-by-rule", "yes"] in answer["headers"], answer
    assert logged(downstream_local="10.96.0.51:80")["rule"] == "VirtualService default/app"
    logged(downstream_local=f"{POD4}:8080", downstream_remote=f"{POD4}:")

with cases("a pod that is started again gets a new namespace and its rules by the same init container"):
    podman("pod", "stop", "-t", "1", "app-1")
    podman("pod", "start", "app-1")
    assert json.loads(podman("inspect", "init").stdout)[0]["State"]["ExitCode"] == 0
    lab.wait_for(lambda: call(f"http://{VIP}:9080/", "-H", "Host: reviews:9080").get("version") == "v1", 15, "the proxy to serve again")

if cases.failed:
    for name in ("init", "proxy", "app"):
        done = podman("logs", name, check=False)
        print(f"── {name} ──\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    print(f"── agent ──\n{(base / 'agent.log').read_text()[-2000:]}")
cases.finish()
