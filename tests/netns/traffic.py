# SPDX-License-Identifier: Apache-2.0
"""Traffic that goes on while something is broken, and rules whose effect is seen in the answers.

    client (churn_load.py, 100 requests a second) ── weir-proxy ──── weir-proxy ── echo.py in v1-a, v2-a

The agent runs as uid 1000, so that permissions count for it.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import lab

PLATFORM = pathlib.Path(__file__).resolve().parent / "testdata/churn"
SERVICES = {"store4": ("10.96.1.1", "IPv4"), "store6": ("fd00:10:96:1::1", "IPv6")}
SERVERS = ("v1-a", "v2-a")


def rules_text(version, mark, extra=""):
    """All calls to one version; answers bear the mark."""
    return "---\n".join(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}, namespace: default}}\nspec:\n  hosts: [{host}]\n  http:\n"
                        f"    - headers: {{response: {{set: {{x-rules: \"{mark}\"}}}}}}\n      route: [{{destination: {{host: {host}, subset: {version}}}}}]\n{extra}" for host in SERVICES)


def base_text(pods):
    """EndpointSlices and DestinationRules: they stay."""
    documents = []
    for host, (_, family) in SERVICES.items():
        ends = "".join(f"  - {{addresses: [\"{pod.ip4 if family == 'IPv4' else pod.ip6}\"], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: {pod.name}, namespace: default}}}}\n" for pod in pods)
        documents.append(f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {host}, namespace: default, labels: {{kubernetes.io/service-name: {host}}}}}\n"
                         f"addressType: {family}\nports: [{{name: http, port: 8000, protocol: TCP}}]\nendpoints:\n{ends}")
        subsets = "".join(f"    - {{name: {version}, labels: {{version: {version}}}}}\n" for version in ("v1", "v2"))
        documents.append(f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {host}, namespace: default}}\nspec:\n  host: {host}\n  subsets:\n{subsets}")
    return "---\n".join(documents)


class World:
    """The lab with a client and two servers, everything running, and the traffic."""

    def __init__(self, net):
        self.net, self.client = net, net["client"]
        self.servers = [net[name] for name in SERVERS]
        self.agent_dir = net.run_dir / "agent"
        self.agent_dir.mkdir()
        os.chown(self.agent_dir, lab.APP_UID, lab.APP_UID)
        net.agent_socket = self.agent_dir / "agent.sock"
        self.agent_state = self.agent_dir / "state"
        self.rules_dir = net.rules_dir
        self.answers, self.failures = 0, []  # (sent, what)
        self.last_good_sent = 0.0  # when the newest request that succeeded was sent
        self.marks = {}  # the loader's worker → mark of its newest answer
        self.count = 0
        self.loader = None

    def start(self):
        self.net.set_rules(wait=False, base=base_text(self.servers), rules=rules_text("v1", "0"))
        self.start_agent()
        for pod in self.net.pods.values():
            pod.enrol()
            pod.start_apps()
            pod.start_proxy(wait=False)
        for pod in self.net.pods.values():
            pod.wait_ready()
        self.start_load()
        self.wait_mark("0")

    # ── the agent ──

    def start_agent(self, *flags, rules=None, socket=None, wait=True):
        if not self.net.mesh_file.exists():
            self.net.set_mesh()
        argv = [self.net.program("weir-agent"), "--rules", rules or self.rules_dir, "--listen", f"unix:{socket or self.net.agent_socket}", "--socket-mode", "0666",
                "--mesh-config", self.net.mesh_file, "--debug-listen", "none", "--state-dir", self.agent_state, *flags]
        self.net.agent = self.net.node.start(argv, "agent.log", uid=lab.APP_UID)
        if wait:
            seen = self.net.agent_socket
            try:
                self.net.agent_socket = socket or seen
                lab.wait_for(self.net._agent_accepts, 10, "the agent to listen")
            finally:
                self.net.agent_socket = seen

    def stop_agent(self, how=signal.SIGKILL):
        if self.net.agent:  # not left away by a case that failed
            self.net.stop_agent(how)

    # ── traffic ──

    def start_load(self, rate=100):
        argv = [lab.PYTHON, "churn_load.py", "--rate", str(rate), "--count", str(rate * 600), "--seconds", "600", *(f"{host}={address}" for host, (address, _) in SERVICES.items())]
        command = self.client.nsenter(self.net.src / "tests/netns") + lab.as_user(lab.APP_UID) + argv
        self.loader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(self.net.logs / "churn_load.log", "ab"), stdin=subprocess.DEVNULL, text=True,
                                       env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"})
        self.net.processes.append(self.loader)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for text in self.loader.stdout:
            line = json.loads(text)
            self.answers += 1
            if "error" in line:
                self.failures.append((line["sent"], text))
            else:
                self.last_good_sent = max(self.last_good_sent, line["sent"])
                self.marks[line["worker"]] = line["rules"]

    def settled(self, limit=20):
        """Until every worker of the loader has had an answer from now on: connections that a killed proxy left behind are gone."""
        self.marks.clear()
        lab.wait_for(lambda: len(self.marks) == 8, limit, "an answer to each worker of the loader")

    @contextlib.contextmanager
    def unharmed(self, least=20):
        """What happens inside harms no request; at least so many are made meanwhile."""
        before, begin = self.answers, time.monotonic()
        yield
        lab.wait_for(lambda: self.answers - before >= least, 20, "requests to be answered")
        bad = [text for sent, text in self.failures if sent >= begin]
        assert not bad, f"{len(bad)} of {self.answers - before} requests failed, the first: {bad[0]}"

    def switch(self, save=None):
        """Writes other rules and returns their mark. `save`: how, if not by rename in the rules directory."""
        self.count += 1
        text = rules_text(("v1", "v2")[self.count % 2], str(self.count))
        if save:
            save(text)
        else:
            self.net.put(self.rules_dir / "rules.yaml", text)
        return str(self.count)

    def wait_mark(self, mark, limit=30):
        """Until every worker of the loader has had an answer with the mark, and none another since."""
        lab.wait_for(lambda: len(self.marks) == 8 and set(list(self.marks.values())) == {mark}, limit, f"rules {mark} to count")

    def keeps(self, least=30):
        """The rules that counted go on counting."""
        before = self.answers
        lab.wait_for(lambda: self.answers > before + least, 10, "requests to be answered")
        assert set(self.marks.values()) == {str(self.count)}, f"answers bear {sorted(map(str, self.marks.values()))}, not only {self.count}"

    def recovers(self, limit=30):
        """A changed rule counts."""
        self.wait_mark(self.switch(), limit)

    @staticmethod
    def saved(path, since):
        """Until a file of a state directory is newer than `since` (of time.time())."""
        lab.wait_for(lambda: path.exists() and path.stat().st_mtime > since, 15, f"{path} to be saved")

    # ── logs ──

    def log_from(self, name):
        """Waits for words in what is written to a log from now on; returns a function(pattern, limit)."""
        start = len(self.net.log(name))

        def wait(pattern, limit=15):
            found = lambda: re.search(pattern, self.net.log(name)[start:])
            try:
                return lab.wait_for(found, limit, f"/{pattern}/ in {name}")
            except AssertionError as error:
                raise AssertionError(f"{error}; there is:\n{self.net.log(name)[start:]}") from None
        wait.text = lambda: self.net.log(name)[start:]
        return wait
