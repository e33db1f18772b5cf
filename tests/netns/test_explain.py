#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `weirctl explain` says of a call, offline, is what then happens to it: rule, file and line, cluster, endpoint, code.

    client ── weir-proxy ── reviews v1 v2 v3, ratings, details, productpage, echo, pods' own addresses, the outside     all captured

For each rule file of samples/bookinfo, and for rules written for this test, random calls (seeded: WEIR_SEED=N draws others) are explained in
one go and then sent; the access logs of both proxies tell what happened. WEIR_CALLS says how many.
"""
import collections
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import random
import socket
import uuid

import lab

lab.enter()

SEED = int(os.environ.get("WEIR_SEED", "4"))
CALLS = int(os.environ.get("WEIR_CALLS", "1000"))
THREADS = 12
RULES = lab.REPO / "samples/bookinfo/rules"

# Rules of every shape that the samples have not.
REVIEWS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
    - name: by-path
      match:
        - {uri: {exact: /reviews/0}, method: {exact: GET}}
        - {uri: {prefix: /static}, ignoreUriCase: true}
        - {uri: {regex: "/v[0-9]+/.*"}, queryParams: {debug: {exact: "1"}}}
      rewrite: {uri: /reviews/7, authority: reviews.rewritten}
      route: [{destination: {host: reviews, subset: v3}}]
    - name: by-header
      match:
        - {headers: {x-env: {regex: "can.*"}}, withoutHeaders: {end-user: {}}}
        - {headers: {end-user: {prefix: ja}, x-env: {}}}
      headers: {request: {set: {x-added: "yes"}, remove: [x-env]}}
      route: [{destination: {host: reviews, subset: v2}}]
    - name: elsewhere
      match: [{uri: {prefix: /old}}]
      redirect: {uri: /new, redirectCode: 308}
    - name: teapot
      match: [{uri: {prefix: /teapot}, sourceLabels: {app: client}}, {method: {exact: DELETE}, sourceLabels: {app: nobody}}]
      directResponse: {status: 418, body: {string: short and stout}}
    - name: not-from-here
      match: [{uri: {prefix: /}, sourceNamespace: elsewhere}, {port: 9999}]
      directResponse: {status: 500}
    - name: three
      route:
        - {destination: {host: reviews, subset: v1}, weight: 20}
        - {destination: {host: reviews, subset: v2}, weight: 0}
        - {destination: {host: reviews, subset: v3}, weight: 80}
"""
BROKEN_ENDS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings, namespace: default}
spec:
  hosts: [ratings]
  http:
    - match: [{uri: {prefix: /ratings}, method: {regex: "GET|HEAD"}}]
      route: [{destination: {host: ratings, subset: none}}]
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: nowhere}}]
    - match: [{authority: {prefix: ratings.default}}]
      fault: {abort: {percentage: {value: 40}, httpStatus: 429}, delay: {percentage: {value: 100}, fixedDelay: 0.05s}}
      route: [{destination: {host: ratings, subset: v1}}]
    - name: only-posts
      match: [{method: {exact: POST}}]
      timeout: 3s
      retries: {attempts: 1, retryOn: 5xx}
      route: [{destination: {host: ratings}}]
---
apiVersion: v1
kind: Service
metadata: {name: ghost, namespace: default}
spec:
  clusterIP: 10.96.0.99
  clusterIPs: [10.96.0.99, "fd00:10:96::99"]
  ports: [{name: http, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: default}
spec:
  hosts: [outside.example, "*.wild.example"]
  http:
    - match: [{uri: {prefix: /reviews}}]
      rewrite: {authority: reviews}
      route: [{destination: {host: reviews.default.svc.cluster.local, subset: v1, port: {number: 9080}}}]
    - match: [{uri: {prefix: /ghost}}]
      route: [{destination: {host: ghost}}]
"""
TCP = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: default}
spec: {host: echo, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, subsets: [{name: v1, labels: {version: v1}}, {name: v9, labels: {version: v9}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: default}
spec:
  hosts: [echo]
  http:
    - match: [{port: 8000, queryParams: {x: {regex: "[a-c]"}}}]
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{port: 9002}]
      route: [{destination: {host: echo, subset: v1, port: {number: 8000}}}]
    - route: [{destination: {host: echo, port: {number: 8000}}}]
  tcp:
    - match: [{port: 9000, destinationSubnets: ["10.96.0.0/16"]}]
      route:
        - {destination: {host: echo, subset: v1, port: {number: 9000}}, weight: 50}
        - {destination: {host: echo, port: {number: 9000}}, weight: 50}
    - match: [{port: 9000}]
      route: [{destination: {host: echo, subset: v9, port: {number: 9000}}}]
"""

# Written last: who has it has all the others of its set.
MARKER = """
apiVersion: v1
kind: Service
metadata: {{name: marker-{number}, namespace: default}}
spec: {{clusterIP: 10.96.1.{number}, clusterIPs: [10.96.1.{number}], ports: [{{name: http, port: 9080}}]}}
"""

# Name of the set: files of the samples, texts, mesh policy.
SETS = {"no rules": ((), {}, "ALLOW_ANY"), "destination-rules": (("destination-rules.yaml",), {}, "ALLOW_ANY")}
for file in sorted(RULES.glob("*.yaml")):
    if file.name != "destination-rules.yaml":
        SETS[file.stem] = (("destination-rules.yaml", file.name), {}, "ALLOW_ANY")
SETS |= {
    "paths, headers, weights": (("destination-rules.yaml", "ratings-abort-jason.yaml"), {"my_reviews": REVIEWS}, "ALLOW_ANY"),
    "dead ends": (("destination-rules.yaml", "reviews-80-20.yaml"), {"my_ratings": BROKEN_ENDS}, "ALLOW_ANY"),
    "tcp": (("destination-rules.yaml", "reviews-jason-v2.yaml"), {"my_echo": TCP}, "ALLOW_ANY"),
    "registry only": (("destination-rules.yaml", "reviews-50-50-v3.yaml"), {"my_echo": TCP}, "REGISTRY_ONLY"),
    "all at once": (("destination-rules.yaml",), {"my_reviews": REVIEWS, "my_ratings": BROKEN_ENDS, "my_echo": TCP}, "REGISTRY_ONLY"),
}

PATHS = ["/", "/reviews/0", "/reviews/1?x=b", "/ratings/0", "/ratings/3?debug=1", "/details/0", "/static/a.css", "/STATIC/x", "/v2/x?debug=1", "/v2/x?debug=2",
         "/old/thing?a=b", "/teapot", "/a/../reviews/0", "/a%2e%2e/%72eviews", "/../up", "/%zz", "/ghost", "/api/v1/products", "/?x=c", "/status/404", "/a//b"]
METHODS = ["GET"] * 6 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
HEADERS = {"end-user": ["jason", "jason", "anna", "Jason", "jacky"], "x-env": ["canary", "prod", ""], "user-agent": ["curl/8", "Mozilla"],
           "x-forwarded-proto": ["https"], "x-envoy-retry-on": ["5xx"], "connection": ["x-env"], "cookie": ["a=b; c=d"]}
SERVICES = {"reviews": 9080, "ratings": 9080, "details": 9080, "productpage": 9080, "echo": 8000}


def forms(name):
    return [name, f"{name}.default", f"{name}.default.svc", f"{name}.default.svc.cluster.local"]


def draw(rng, pods, has_ghost):
    """One call, as explain takes it. Host is always said, so that both sides mean the same."""
    family = rng.choice("446")
    kind = rng.random()
    protocol, headers = "http", []
    if kind < 0.68:
        name = rng.choice([*SERVICES, "reviews", "reviews", "ratings", "ratings"])
        to, port = rng.choice(forms(name)), SERVICES[name]
        host = rng.choice([to, f"{to}:{port}", to.upper(), "unknown.example", *forms(rng.choice([*SERVICES]))])
    elif kind < 0.80:
        to, port = rng.choice(forms("echo")), rng.choice([9000, 9000, 9001, 9002])
        host, protocol = "echo", "tcp" if port == 9001 or rng.random() < 0.6 else "http"
    elif kind < 0.90:
        pod = rng.choice(pods)
        port = 8000 if pod.name.startswith("echo") else 9080
        to = pod.ip4 if family == "4" else pod.ip6
        host = rng.choice(["reviews", "ratings.default", f"[{to}]" if ":" in to else to, "unknown.example"])
    else:
        if has_ghost and rng.random() < 0.5:
            to, port = "ghost", 80
        else:
            to, port = (lab.OUTSIDE4 if family == "4" else lab.OUTSIDE6), rng.choice([80, 80, 8000, 7000])
        host, protocol = rng.choice(["outside.example", "a.wild.example", "wild.example", "ghost", "reviews"]), "tcp" if port == 7000 else "http"
    if ":" in to:
        to = f"[{to}]"
    call = {"id": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "to": f"{to}:{port}", "family": family, "protocol": protocol}
    if protocol == "tcp":
        return call
    for name in rng.sample(sorted(HEADERS), k=rng.choice([0, 0, 1, 1, 2, 3])):
        headers.append([name, rng.choice(HEADERS[name])])
    rng.shuffle(headers)
    return call | {"method": rng.choice(METHODS), "path": rng.choice(PATHS), "headers": [["Host", host], *headers, ["x-request-id", call["id"]]]}


def draw_all(rng, pods):
    """At least CALLS calls, dealt over the rule sets; those written for this test get twice the share of the others."""
    share = -(-CALLS // len(SETS))
    return {name: [draw(rng, pods, "my_ratings" in texts) for _ in range(2 * share if texts else share)] for name, (_, texts, _) in SETS.items()}


# A port of its own for each call, above the proxy's and below those that the kernel chooses from: after REDIRECT all calls have one destination, and a port that is
# used again too soon would be changed by conntrack.
PORTS = itertools.count(16000)


def send(client, address, port, call):
    """Sends it on a connection of its own. Returns (its two ends as the log names them, status or None)."""
    connection = client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with connection:
        connection.settimeout(10)
        connection.bind((client.ip6 if ":" in address else client.ip4, next(PORTS)))
        own = tuple(f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}" for end in (connection.getsockname(), (address, port)))
        status = None
        with contextlib.suppress(OSError, http.client.HTTPException):  # a reset is an answer too: the log has it
            connection.connect((address, port))
            if call["protocol"] == "tcp":
                if port != 9001:
                    connection.sendall(b"hello, raw bytes\n")
                    connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536) and port != 9001:
                    pass
            else:
                talk = http.client.HTTPConnection("unused")
                talk.sock = connection
                talk.putrequest(call["method"], call["path"], skip_host=True, skip_accept_encoding=True)
                for name, value in call["headers"]:
                    talk.putheader(name, value)
                if call["method"] in ("POST", "PUT"):
                    talk.putheader("content-length", "2")
                talk.endheaders(b"hi" if call["method"] in ("POST", "PUT") else None)
                answer = talk.getresponse()
                status = answer.status
                answer.read()
        return own, status


class Log:
    """A pod's access log since forget()."""

    def __init__(self, pod):
        self.path, self.read, self.entries = pod.lab.logs / f"{pod.name}.access.log", 0, []

    def forget(self):
        self.new()
        self.entries = []

    def new(self):
        with open(self.path, "rb") as file:
            file.seek(self.read)
            data = file.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.read += len(whole)
        self.entries += [entry for entry in map(lab.parse_log_line, whole.decode(errors="replace").splitlines()) if entry]
        return self.entries


def or_dash(text):
    return str(text) if text else "-"


def differences(told, entry, status):
    """What of the explanation is not what the caller's proxy logged; a list of sentences."""
    step, wrong = told["proxy"], []

    def check(what, expected, seen):
        if seen not in expected:
            wrong.append(f"{what}: explained {' or '.join(sorted(map(str, expected)))}, but {seen}")

    rule = step["rule"]
    fault = step.get("fault", {})
    answer = step["answer"]
    is_aborted = fault.get("abort_percent", 0) > 0 and "FI" in entry["flags"]
    check("rule", {or_dash(rule["rule"])}, entry["rule"])
    check("place", {f"{or_dash(rule['file'])}:{or_dash(rule['line'])}"}, entry["at"])
    if step["http"]:
        check("route", {or_dash(step["route"])}, entry["route"])
        check("code", {str(status)}, entry["code"])
    if is_aborted:
        check("code of the fault", {str(fault["abort_code"])}, entry["code"])
        return wrong
    if answer["by"] == "proxy":
        if step["http"]:
            check("code by the proxy", {str(answer["code"])}, entry["code"])
            check("details", {answer["details"]}, entry["details"])
        check("flags", {or_dash(answer["flags"])}, entry["flags"])
        check("upstream", {"-"}, entry["upstream_host"])
        return wrong
    if fault.get("delay_percent") == 100 and "DI" not in entry["flags"]:
        wrong.append(f"explained a delay, but flags are {entry['flags']}")
    clusters = {cluster["name"]: cluster for cluster in step["clusters"]}
    check("cluster", set(clusters), entry["cluster"])
    if not wrong:
        ends = clusters[entry["cluster"]]["endpoints"]
        check("endpoint", {address for end in ends for address in (end["address"], *end["additional"])}, entry["upstream_host"])
    return wrong


def server_differences(told, entry, logs):
    """The same for the server's proxy; None if it has not logged the call."""
    step = next((server for server in told["servers"] if server["address"] == entry["upstream_host"]), None)
    if step is None or "proxy" not in step:
        return []
    entries = [e for e in logs[step["pod"].rpartition(".")[0]].entries if e["downstream_local"] == entry["upstream_host"]]
    seen = [e for e in entries if e["downstream_remote"] == entry["upstream_local"]]
    if not seen:  # conntrack gave it another port
        seen = [e for e in entries if (e["request_id"], e["received"], e["sent"]) == (entry["request_id"], entry["received"], entry["sent"])][:1]
    if not seen:
        return None
    names = {cluster["name"] for cluster in step["proxy"]["clusters"]}
    return [f"server's cluster: explained {' or '.join(sorted(names))}, but {e['cluster']}" for e in seen if e["cluster"] not in names]


with lab.Lab(pods=["client", "productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client = net["client"]
    net.names["ghost"] = ("10.96.0.99", "fd00:10:96::99")
    # As kube-proxy does for a Service without endpoints: refused, not lost.
    net.node.sh("ip route add unreachable 10.96.0.99; ip -6 route add unreachable fd00:10:96::99")
    net.start_all("destination-rules.yaml")
    logs = {pod.name: Log(pod) for pod in net.pods.values()}
    rng = random.Random(SEED)
    drawn = draw_all(rng, [pod for pod in net.pods.values() if pod is not client])
    seen_answers = collections.Counter()

    def has_all(pod, number, policy):
        table = pod.admin("/config_dump?resource=dynamic_route_configs&name_regex=9080")
        return f"marker-{number}." in table and ("block_all" in table) == (policy == "REGISTRY_ONLY")

    for number, (name, (files, texts, policy)) in enumerate(SETS.items()):
        with cases(f"{name}: {len(drawn[name])} calls go as explained"):
            net.set_mesh(policy)
            net.set_rules(*files, **texts, zz_marker=MARKER.format(number=number), wait=False)
            for pod in net.pods.values():
                lab.wait_for(lambda pod=pod: has_all(pod, number, policy), 10, f"the rules in {pod.name}")
            for log in logs.values():
                log.forget()
            questions = net.run_dir / f"questions-{number}.jsonl"
            questions.write_text("".join(json.dumps(call) + "\n" for call in drawn[name]))
            done = net.node.run([net.program("weirctl"), "explain", "--rules", net.rules_dir, "--mesh-config", net.mesh_file, "--from", "client.default",
                                 "--as", "uid=0", "--requests", questions, "-o", "json"])
            assert done.returncode == 0, done.stdout[-500:] + done.stderr
            told = [json.loads(line) for line in done.stdout.splitlines()]
            assert len(told) == len(drawn[name]), (len(told), done.stderr)
            assert all(each["capture"]["verdict"] == "to the proxy's outbound port 15001" for each in told), [each["capture"] for each in told][:1]

            def run(pair):
                host, _, port = pair["to"].rpartition(":")
                return send(client, net.address(host.strip("[]"), int(pair["family"])), int(port), pair)
            with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                ends = list(pool.map(run, drawn[name]))
            awaited = {own: call for call, (own, _) in zip(drawn[name], ends)}
            def ends_of(entry):
                return entry["downstream_remote"], entry["downstream_local"]
            def missing():
                return awaited.keys() - {ends_of(entry) for entry in logs["client"].new()}
            with contextlib.suppress(AssertionError):
                lab.wait_for(lambda: not missing(), 10, "the client's access log")
            assert not missing(), "never logged: " + "\n".join(f"{own} {json.dumps(awaited[own])}" for own in missing())
            entries = {ends_of(entry): entry for entry in logs["client"].entries}
            failures = []
            for call, explained, (own, status) in zip(drawn[name], told, ends):
                entry = entries[own]
                wrong = differences(explained, entry, status)
                if not wrong and explained["proxy"]["answer"]["by"] == "upstream":
                    def look(explained=explained, entry=entry):
                        for log in logs.values():
                            log.new()
                        return server_differences(explained, entry, logs) is not None
                    with contextlib.suppress(AssertionError):
                        look() or lab.wait_for(look, 3, "the server's access log")
                    wrong = server_differences(explained, entry, logs)
                    if wrong is None:
                        wrong = ["the server's proxy logged nothing"] if "FI" not in entry["flags"] else []
                if wrong:
                    failures.append(f"{json.dumps(call)}\n  {'; '.join(wrong)}\n  {entry['line']}")
                seen_answers[explained["proxy"]["answer"].get("details", "upstream")] += 1
            assert not failures, f"{len(failures)} of {len(told)} (WEIR_SEED={SEED}):\n" + "\n".join(failures[:5])

    with cases("the calls were of every kind: forwarded, refused, redirected, without route, cluster or endpoint"):
        wanted = {"upstream", "route_not_found", "no_healthy_upstream", "cluster_not_found", "direct_response", "fault_filter_abort", "path_normalization_failed"}
        assert wanted <= set(seen_answers), f"missing: {wanted - set(seen_answers)} in {seen_answers}"
        assert sum(seen_answers.values()) >= CALLS, seen_answers
        print(f"        {dict(seen_answers)}")

    cases.finish()
