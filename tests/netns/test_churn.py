#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests under change: rules change every second, endpoints come and go, and each answer must be one that the rules allow.

    client (churn_load.py) ── weir-proxy 15001 ──── 15006 weir-proxy ── echo.py    in pods v1-a v1-b v2-a v2-b v3-a v3-b
                                    │ ADS                  │ ADS                   store4 by IPv4, store6 by IPv6, both hops
                                    └────── weir-agent ────┘ a directory of YAML, rewritten all the time

Every rule set marks its answers with its number (x-rules), and every answer tells the version and the pod. Allowed is what some
rule set says that was in force between the request and its answer: from the last one that the client's proxy had taken before
the first byte was sent, to the newest one written before the last byte came. The same holds for endpoints.

    test_churn.py [--seconds 20] [--rate 250]     ends with "soak: N requests, 0 failed, 0 misrouted, memory …, descriptors …"
"""
import argparse
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field

import lab

arguments = argparse.ArgumentParser()
arguments.add_argument("--seconds", type=int, default=20)
arguments.add_argument("--rate", type=float, default=250)
arguments.add_argument("--least", type=int, default=0, help="fewer requests than this are a failure (default: a quarter of rate × seconds)")
arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
arguments.add_argument("--allowed-growth", type=float, default=2.0, help="MiB of private memory, last tenth against first")
options = arguments.parse_args()
lab.enter()

PLATFORM = pathlib.Path(__file__).resolve().parent / "testdata/churn"
SERVICES = {"store4": ("10.96.1.1", "IPv4"), "store6": ("fd00:10:96:1::1", "IPv6")}
VERSIONS = ("v1", "v2", "v3")
KINDS = ("plain", "jason", "beta")  # as churn_load.py sends them
LOG_LIMIT = 16 << 20  # a log beyond it begins anew, unless something has failed
print(f"seed {options.seed}: --seed {options.seed} makes the same changes", flush=True)


# ── what was in force when ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class State:
    value: object
    written: float
    taken: float = None  # when the client's proxy was seen to have it


class History:
    """The states of one thing, each replacing the one before. Old ones are forgotten."""

    def __init__(self, value):
        self.lock = threading.Lock()
        self.states = [State(value, 0.0, 0.0)]

    def write(self, value):
        with self.lock:
            self.states = self.states[-200:] + [State(value, time.monotonic())]
            return self.states[-1]

    def current(self):
        return self.states[-1].value

    def between(self, sent, done):
        """The values that could count for a request of this time."""
        with self.lock:
            first = max(i for i, state in enumerate(self.states) if state.taken is not None and state.taken <= sent)
            return [state.value for state in self.states[first:] if state.written <= done]


@dataclass
class RuleSet:
    mark: str  # None: no VirtualService
    allowed: dict  # kind → versions
    text: str


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def destination(host, version, weight):
    return f"        - destination: {{host: {host}, subset: {version}}}\n          weight: {weight}\n"


def http_rule(host, mark, weights, match=""):
    routes = "".join(destination(host, version, weight) for version, weight in weights.items())
    return f"    - {match}headers: {{response: {{set: {{x-rules: \"{mark}\"}}}}}}\n      route:\n{routes}"


def versions_of(weights):
    return {version.replace("canary", "v3") for version, weight in weights.items() if weight}


MATCHES = {"jason": "match: [{headers: {x-user: {exact: jason}}}]\n      ", "beta": "match: [{uri: {prefix: /beta/}}]\n      "}


def some_weights(chance, canary):
    names = VERSIONS + (("canary",) if canary else ())
    picked = chance.sample(names, chance.choice((1, 1, 2, 3)))
    if len(picked) == 1:
        return {picked[0]: 100}
    weights = [chance.choice((0, 1, 10, 50)) for _ in picked[1:]]
    weights = [weight * 50 // max(50, sum(weights)) for weight in weights]
    return dict(zip(picked, [100 - sum(weights), *weights]))


def some_rules(chance, number, canary):
    """A rule set, never the one before: its mark is its number."""
    if chance.random() < 0.07:
        return RuleSet(None, {kind: set(VERSIONS) for kind in KINDS}, "# no rules\n")
    mark = str(number)
    default = some_weights(chance, canary)
    special = {kind: some_weights(chance, canary) for kind in MATCHES if chance.random() < 0.6}
    documents = []
    for host in SERVICES:
        rules = "".join(http_rule(host, mark, weights, MATCHES[kind]) for kind, weights in special.items())
        documents.append(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}, namespace: default}}\n"
                         f"spec:\n  hosts: [{host}]\n  http:\n{rules}{http_rule(host, mark, default)}")
    allowed = {kind: versions_of(special.get(kind, default)) for kind in KINDS}
    return RuleSet(mark, allowed, "---\n".join(documents))


def broken(chance, text):
    """Every document wrong in some way (a sound one would count: last good is per object). None of the ways may change anything."""
    ways = (
        lambda one: one + "  http: [\n",
        lambda one: one.replace("spec:", "spec: {}\nspec:", 1),
        lambda one: re.sub(r"weight: \d+", "weight: -5", one),
        lambda one: one.replace("hosts:", "host:").replace("subsets:", "sub: &x [*y]\n  subsets:"),
        lambda one: "@not YAML: [\n",
    )
    return "---\n".join(bad if (bad := chance.choice(ways)(one)) != one else "{{{\n" for one in text.split("---\n"))


BALANCERS = ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")


def destination_rules(chance, canary):
    names = [(version, version) for version in VERSIONS] + ([("canary", "v3")] if canary else [])
    subsets = "".join(f"    - {{name: {name}, labels: {{version: {version}}}}}\n" for name, version in names)
    policy = f"  trafficPolicy:\n    loadBalancer: {{simple: {chance.choice(BALANCERS)}}}\n"
    if chance.random() < 0.5:
        policy += f"    connectionPool: {{http: {{maxRequestsPerConnection: {chance.choice((1, 7, 100))}}}}}\n"
    return "---\n".join(f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {host}, namespace: default}}\n"
                        f"spec:\n  host: {host}\n{policy}  subsets:\n{subsets}" for host in SERVICES)


def endpoint_slices(pods, absent, not_ready):
    documents = []
    for host, (_, family) in SERVICES.items():
        ends = "".join(f"  - {{addresses: [\"{pod.ip4 if family == 'IPv4' else pod.ip6}\"], conditions: {{ready: {'false' if pod.name in not_ready else 'true'}}}, "
                       f"targetRef: {{kind: Pod, name: {pod.name}, namespace: default}}}}\n" for pod in pods if pod.name not in absent)
        documents.append(f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {host}, namespace: default, labels: {{kubernetes.io/service-name: {host}}}}}\n"
                         f"addressType: {family}\nports: [{{name: http, port: 8000, protocol: TCP}}]\nendpoints:\n{ends}")
    return "---\n".join(documents)


# ── what is measured ─────────────────────────────────────────────────────────────────────────────────────────────────


def private_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_(?:Clean|Dirty|Hugetlb):\s+(\d+)", text, re.M))


@dataclass
class Meter:
    """Memory and descriptors of one process that lives through the whole run."""

    name: str
    process: object
    memory: list = field(default_factory=list)
    descriptors: list = field(default_factory=list)

    def read(self):
        # The programs are started through nsenter and setpriv, which become them: the process id is the program's.
        self.memory.append(private_kib(self.process.pid))
        self.descriptors.append(len(os.listdir(f"/proc/{self.process.pid}/fd")))

    def tenths(self, values):
        size = max(1, len(values) // 10)
        return values[:size], values[-size:]

    def growth(self):
        """MiB that the last tenth's median has more than the first tenth's."""
        first, last = self.tenths(self.memory)
        return (statistics.median(last) - statistics.median(first)) / 1024

    def are_descriptors_flat(self):
        """Pools grow and shrink with what the rules say; a leak would lift the lowest of the end above the highest of the first half. A
        short run is all growth of pools: then only what no pool can hold is too much (4 callers to each of 14 subsets' endpoints)."""
        lowest = min(self.tenths(self.descriptors)[1])
        return lowest <= (max(self.descriptors[:len(self.descriptors) // 2]) + 2 if options.seconds >= 120 else 150)


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Run:
    def __init__(self, net):
        self.net, self.client = net, net["client"]
        self.servers = [pod for name, pod in sorted(net.pods.items()) if name != "client"]
        self.chance = random.Random(options.seed)
        self.stop, self.problems = threading.Event(), []
        self.requests = self.failed = self.misrouted = 0
        self.broken = self.endpoint_changes = self.restarts = self.cluster_changes = 0
        self.seen = {}  # (kind, version) → answers
        self.marks = set()
        self.newest_sent = {}  # worker → time
        self.examples = []
        self.number, self.canary = 1, False
        self.rules = History(self.a_rule_set(self.number, False))
        self.absent, self.not_ready = set(), set()
        self.endpoints = History(frozenset(pod.name for pod in self.servers))
        self.meters = []

    # what is in force

    def a_rule_set(self, number, canary):
        rules = some_rules(self.chance, number, canary)
        return rules if rules.mark else self.a_rule_set(number, canary)

    def write(self, name, text):
        self.net.put(self.net.rules_dir / name, text)

    def settle(self, condition, state, what):
        """Waits until the client's proxy has it, then asks each of its workers, so that they have it too."""
        lab.wait_for(condition, 20, what)
        assert self.client.admin("/clusters"), "the client's proxy does not answer"
        if state:
            state.taken = time.monotonic()

    def marks_in_proxy(self):
        dump = self.client.admin("/config_dump?resource=dynamic_route_configs")
        return set(re.findall(r'"key":\s*"x-rules",\s*"value":\s*"(\d+)"', dump)) if dump else None

    def set_rules(self, rules):
        state = self.rules.write(rules)
        self.write("rules.yaml", rules.text)
        self.settle(lambda: self.marks_in_proxy() == ({rules.mark} if rules.mark else set()), state, f"rule set {rules.mark} in the client's proxy")

    def set_endpoints(self):
        state = self.endpoints.write(frozenset(pod.name for pod in self.servers if pod.name not in self.absent | self.not_ready))
        self.write("endpoints.yaml", endpoint_slices(self.servers, self.absent, self.not_ready))
        self.endpoint_changes += 1

        def there():
            text = self.client.admin("/clusters")
            return text and all((f"{shown}:8000::" in text) == (pod.name in state.value) for pod in self.servers for shown in (pod.ip4, f"[{pod.ip6}]"))
        self.settle(there, state, f"the endpoints {sorted(state.value)} in the client's proxy")

    # what changes

    def change_rules(self):
        """One change a second, or as fast as they are taken."""
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1.0, time.monotonic())
            what = self.chance.random()
            if what < 0.2:
                self.broken += 1
                self.write("rules.yaml", broken(self.chance, self.a_rule_set(0, False).text))
                continue
            if what < 0.35:
                # A new subset first, then who uses it; the other way round when it goes.
                if self.canary:
                    self.number += 1
                    self.set_rules(some_rules(self.chance, self.number, False))
                self.canary = not self.canary
                self.cluster_changes += 1
                if self.chance.random() < 0.3:
                    self.write("destination-rules.yaml", broken(self.chance, destination_rules(self.chance, self.canary)))
                self.write("destination-rules.yaml", destination_rules(self.chance, self.canary))
            self.number += 1
            self.set_rules(some_rules(self.chance, self.number, self.canary))

    def change_endpoints(self):
        """One pod after the other leaves, is stopped and started, and comes back: "a" pods keep their proxy, "b" pods have a new one."""
        chance = random.Random(f"{options.seed} endpoints")
        while not self.stop.wait(0.5):
            pod = chance.choice(self.servers)
            way = chance.choice(("not ready", "restart", "restart"))
            (self.not_ready if way == "not ready" else self.absent).add(pod.name)
            if chance.random() < 0.3:
                self.write("endpoints.yaml", "kind: EndpointSlice\nendpoints: [\n")
            self.set_endpoints()
            if way == "restart":
                self.wait_for_answers(self.endpoints.states[-1].taken)
                self.restart(pod)
            elif self.stop.wait(0.5):
                return
            self.absent.discard(pod.name)
            self.not_ready.discard(pod.name)
            self.set_endpoints()

    def wait_for_answers(self, since):
        """Until every worker has had an answer to what it sent after `since`: nothing is under way to an endpoint that was gone then."""
        lab.wait_for(lambda: self.stop.is_set() or all(sent > since for sent in list(self.newest_sent.values())), 20, "the requests under way")

    def restart(self, pod):
        with_proxy = pod.name.endswith("b")
        if with_proxy:
            code = pod.stop_proxy(signal.SIGTERM)
            assert code == 0, f"the proxy of {pod.name} left with {code}"
        for app in pod.apps:
            app.terminate()
            app.wait()
        pod.apps.clear()
        pod.start_apps()
        if with_proxy:
            pod.start_proxy("--drain-time", "100ms")
        self.restarts += 1

    # what comes back

    def judge(self, line):
        self.requests += 1
        self.newest_sent[line["worker"]] = line["sent"]
        what = None
        if "error" in line:
            self.failed += 1
            what = "failed"
        else:
            rules = [rules for rules in self.rules.between(line["sent"], line["done"]) if rules.mark == line["rules"] and line["version"] in rules.allowed[line["kind"]]]
            ends = any(line["pod"] in pods for pods in self.endpoints.between(line["sent"], line["done"]))
            if not rules or not ends:
                self.misrouted += 1
                what = "misrouted" if not rules else "sent to an endpoint that was not there"
            self.marks.add(line["rules"])
            key = line["kind"], line["version"]
            self.seen[key] = self.seen.get(key, 0) + 1
        if what and len(self.examples) < 20:
            in_force = [(rules.mark, {kind: sorted(versions) for kind, versions in rules.allowed.items()}) for rules in self.rules.between(line["sent"], line["done"])]
            self.examples.append(f"{what}: {json.dumps(line)}; in force: {in_force}; endpoints: {sorted(self.endpoints.current())}")
            print(self.examples[-1], flush=True)

    def guarded(self, what):
        try:
            what()
        except Exception as error:  # ends the run, and is a failure of it
            self.problems.append(f"{what.__name__}: {error!r}")
            print(self.problems[-1], flush=True)
            self.stop.set()

    def trim_logs(self):
        if self.failed or self.misrouted:
            return
        for path in self.net.logs.iterdir():
            if path.stat().st_size > LOG_LIMIT:
                os.truncate(path, 0)  # all write with O_APPEND

    def progress(self, seconds):
        memory = ", ".join(f"{meter.name} {meter.memory[-1]}" for meter in self.meters if meter.memory)
        descriptors = ", ".join(f"{meter.name} {meter.descriptors[-1]}" for meter in self.meters if meter.descriptors)
        print(f"{seconds:5.0f} s: {self.requests} requests, {self.failed} failed, {self.misrouted} misrouted; {self.number} rule sets, {self.broken} broken ones, "
              f"{self.cluster_changes} changes of subsets, {self.endpoint_changes} of endpoints, {self.restarts} restarts; private KiB: {memory}; descriptors: {descriptors}", flush=True)

    def load(self):
        argv = [lab.PYTHON, "churn_load.py", "--rate", str(options.rate), "--count", str(int(options.rate * options.seconds)), "--seconds", str(options.seconds),
                "--seed", str(options.seed), *(f"{host}={address}" for host, (address, _) in SERVICES.items())]
        command = self.client.nsenter(self.net.src / "tests/netns") + lab.as_user(lab.APP_UID) + argv
        errors = open(self.net.logs / "churn_load.log", "ab")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"})
        self.net.processes.append(process)
        return process

    def go(self):
        loader = self.load()
        def read():
            for line in loader.stdout:
                self.judge(json.loads(line))
        reader = threading.Thread(target=self.guarded, args=(read,), daemon=True)
        changers = [threading.Thread(target=self.guarded, args=(what,), daemon=True) for what in (self.change_rules, self.change_endpoints)]
        reader.start()
        lab.wait_for(lambda: len(self.newest_sent) == 8, 20, "an answer to each worker of the loader")
        for thread in changers:
            thread.start()
        begin = time.monotonic()
        told = 0
        while reader.is_alive() and not self.stop.wait(min(1.0, options.seconds / 100)):
            seconds = time.monotonic() - begin
            if seconds > 1.0:  # what comes with the first requests is no growth
                for meter in self.meters:
                    meter.read()
            if seconds // 10 > told:
                told = seconds // 10
                self.progress(seconds)
                self.trim_logs()
        self.stop.set()
        for thread in changers:
            thread.join(60)
            if thread.is_alive():
                self.problems.append("a thread that makes changes did not end")
        loader.terminate() if self.problems else None
        reader.join(30)
        self.progress(time.monotonic() - begin)
        assert loader.wait(30) == 0 or self.problems, f"the loader ended with {loader.returncode}: {self.net.log('churn_load.log')}"


def main():
    with lab.Lab(platform=PLATFORM) as net:
        cases = lab.Cases(net)
        run = Run(net)
        with cases("the pods, all enrolled, each with its proxy"):
            net.set_rules(wait=False, rules=run.rules.current().text, endpoints=endpoint_slices(run.servers, (), ()), destination_rules=destination_rules(run.chance, False))
            net.start_agent()
            for pod in net.pods.values():
                pod.enrol()
                pod.start_apps()
                pod.start_proxy("--drain-time", "100ms", wait=False)
            for pod in net.pods.values():
                pod.wait_ready()
            run.settle(lambda: run.marks_in_proxy() == {run.rules.current().mark}, None, "the first rule set")
        run.meters = [Meter("agent", net.agent), Meter("client's proxy", run.client.proxy)]
        run.meters += [Meter(f"{pod.name}'s proxy", pod.proxy) for pod in run.servers if pod.name.endswith("a")]
        with cases("rules, subsets and endpoints change under load"):
            run.go()
            assert not run.problems, run.problems
            least = options.least or options.rate * options.seconds / 4
            assert run.requests >= least, f"only {run.requests} requests of {options.rate * options.seconds:g} were made; the machine is too slow, or something hung"
            changes = options.seconds / 4
            assert run.number > changes and run.broken and run.cluster_changes and run.restarts, (run.number, run.broken, run.cluster_changes, run.restarts)
            assert len(run.marks) > changes, f"answers bore the marks of {len(run.marks)} rule sets"
            missing = {(kind, version) for kind in KINDS for version in VERSIONS} - set(run.seen)
            assert not missing, f"no request of {missing}"
        with cases("every request is answered"):
            assert run.failed == 0, "\n".join(run.examples)
        with cases("each by a version and a pod that the rules allowed then"):
            assert run.misrouted == 0, "\n".join(run.examples)
        worst = max(run.meters, key=Meter.growth)
        with cases("memory of the last tenth is that of the first, and so are descriptors"):
            assert worst.growth() <= options.allowed_growth, [(meter.name, meter.tenths(meter.memory)) for meter in run.meters]
            assert all(meter.are_descriptors_flat() for meter in run.meters), [(meter.name, meter.descriptors) for meter in run.meters]
        first, last = (statistics.median(part) for part in worst.tenths(worst.memory))
        flat = "flat" if all(meter.are_descriptors_flat() for meter in run.meters) else "NOT flat"
        counts = ", ".join(f"{meter.name} {'-'.join(str(f(meter.descriptors)) for f in (min, max))}" for meter in run.meters)
        print(f"soak: {run.requests} requests, {run.failed} failed, {run.misrouted} misrouted, memory {worst.growth():+.2f} MiB at most "
              f"({worst.name} {first / 1024:.2f} → {last / 1024:.2f} MiB private), descriptors {flat} ({counts})", flush=True)
        cases.finish()


main()
