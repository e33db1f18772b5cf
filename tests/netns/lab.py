# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes-shaped network in namespaces of its own, for the demo and the end-to-end tests.

    node namespace (routes between pods; nft DNAT makes ClusterIPs work, as kube-proxy does)
      │  br0  10.244.1.1  fd00:10:244:1::1
      ├── veth ── pod client      10.244.1.10  fd00:10:244:1::a      app uid 1000, weir-proxy uid 1337
      ├── veth ── pod reviews-v1  10.244.1.31  …                     one pod for each Pod object of samples/bookinfo/platform
      ├── …
      └── veth ── outside         203.0.113.10 2001:db8:113::10      a host that no rule and no service knows

Pods have /32 and /128 addresses and a route through the node, so that answers pass the node's DNAT too. The namespaces are
anonymous and all processes live in a process-id namespace of their own: when the lab ends, even by SIGKILL, nothing stays.
Call `lab.enter()` first in a program, then use `Lab`.
"""
import atexit
import contextlib
import copy
import ctypes
import http.client
import ipaddress
import json
import mmap
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from dataclasses import dataclass, field

import yaml

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
APP_UID, PROXY_UID = 1000, 1337
NODE4, NODE6 = "10.244.1.1", "fd00:10:244:1::1"
OUTSIDE4, OUTSIDE6, OUTSIDE_NAME = "203.0.113.10", "2001:db8:113::10", "outside.example"
# Debian's Python: one under /root (pyenv, say) is out of reach for uid 1000.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
SKIP = 77  # Meson's exit code for a test that could not run


# ── the sandbox ──────────────────────────────────────────────────────────────────────────────────────────────────────


def enter():
    """Starts the running program again in mount, network and process-id namespaces of its own. Returns inside them."""
    if os.environ.get("WEIR_LAB") == "inside":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return
    if os.getuid() != 0:
        skip("needs root, to make network namespaces")
    if "WEIR_OUTER_PROC" not in os.environ:
        # Through this descriptor --keep finds out under which process ids the rest of the machine sees ours.
        outer = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        os.set_inheritable(outer, True)
        os.environ["WEIR_OUTER_PROC"] = str(outer)
    make = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "--propagation"]
    # In a chroot, / may be no mount point, so that it cannot be made private; scripts/steps.sh has made private what can be.
    ways = [subprocess.run([*make, way, "true"], capture_output=True, text=True) for way in ("private", "unchanged")]
    probe = ways[0] if ways[0].returncode == 0 else ways[1]
    if probe.returncode != 0:
        skip(f"namespaces cannot be made here: {probe.stderr.strip()}")
    os.environ["WEIR_LAB"] = "inside"
    os.environ["XTABLES_LOCKFILE"] = "/proc/self/ns/net"  # else who runs beside us would wait for our iptables
    os.environ["WEIR_PROPAGATION"] = "private" if ways[0].returncode == 0 else "unchanged"
    os.execvp("unshare", [*make, os.environ["WEIR_PROPAGATION"], "--", PYTHON, "-B", *sys.argv])


def forbids_skips():
    """The variable by which a skip is not allowed, or None."""
    return next((name for name in ("WEIR_REQUIRE_NETNS", "CI") if os.environ.get(name)), None)


def skip(why):
    """Ends the program as skipped; as failed where a skip is not allowed."""
    if forbids := forbids_skips():
        print(f"cannot run, and {forbids} forbids to skip: {why}\n0 passed, 1 failed")
        sys.exit(1)
    print(f"skipped: {why}")
    sys.exit(SKIP)


def program(name):
    """Path of one of weir's programs in the build directory: WEIR_BUILD, else build/. Of several (a:b) the first that has it."""
    room = {"weirctl": "ctl", "weir-cni": "cni-plugin"}.get(name, name.removeprefix("weir-"))
    directories = os.environ.get("WEIR_BUILD", str(REPO / "build")).split(":")
    for directory in directories:
        if (path := pathlib.Path(directory) / room / name).exists():
            return path
    skip(f"{room}/{name} is not built in {' or '.join(directories)}; run scripts/build")


def sanitizer_options(directory):
    """Environment by which programs with sanitizers report into `directory`, whatever uid they run as and wherever their output goes."""
    common = f"log_path={directory}/report:exitcode=99"
    return {"ASAN_OPTIONS": f"{common}:detect_stack_use_after_return=1:strict_string_checks=1", "LSAN_OPTIONS": common,
            "UBSAN_OPTIONS": f"{common}:print_stacktrace=1:halt_on_error=1", "TSAN_OPTIONS": f"{common}:halt_on_error=0:second_deadlock_stack=1"}


def wait_for(condition, limit=10.0, what="a condition"):
    """Calls `condition` until it gives something true, which is returned; gives up after `limit` seconds."""
    end = time.monotonic() + limit
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:g} s in vain for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


# ── namespaces ───────────────────────────────────────────────────────────────────────────────────────────────────────

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class Space:
    """A network namespace with a private mount namespace, held by a sleeping process."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "--propagation", os.environ["WEIR_PROPAGATION"], "--", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        wait_for(lambda: self._entered(own), 10, f"the namespaces of {name}")
        self.sh("ip link set lo up")

    def _entered(self, own):
        pid = self.holder.pid
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/ns/net") != own and pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"
        return False

    def nsenter(self, cwd=None):
        # -r: the holder's root, which in a chroot is not the mount namespace's.
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "-r", f"--wdns={cwd or '/'}"]

    def run(self, argv, uid=0, check=False, timeout=60, **options):
        """Runs a program here to its end; text in and out."""
        environment = {**os.environ, **self.lab.sanitizers}
        done = subprocess.run(self.nsenter() + as_user(uid) + [str(a) for a in argv], capture_output=True, text=True, timeout=timeout, env=environment, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name}: {shlex.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sh(self, script):
        return self.run(["sh", "-ec", script], check=True)

    def start(self, argv, log, uid=0, env=None, cwd=None, stderr=None, stdin=subprocess.DEVNULL):
        """Starts a program here; its output goes to the lab's log directory. Killed with the lab."""
        out = open(self.lab.logs / log, "ab")
        err = open(self.lab.logs / stderr, "ab") if stderr else subprocess.STDOUT
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
                       **self.lab.sanitizers, **(env or {})}
        process = subprocess.Popen(self.nsenter(cwd) + as_user(uid) + [str(a) for a in argv], stdout=out, stderr=err, stdin=stdin, env=environment)
        out.close()
        if stderr:
            err.close()
        process.program = pathlib.Path(argv[0]).name
        self.lab.processes.append(process)
        return process

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        """A socket of this namespace (its owner is root, whose traffic is captured like any app's)."""
        result = []

        def make():
            with open(f"/proc/{self.holder.pid}/ns/net") as net:
                if _libc.setns(net.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            result.append(socket.socket(family, kind))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return result[0]

    def connect(self, host, port, timeout=10.0):
        """A TCP connection from here. `host` is an address or a name of the lab (then its IPv4 address)."""
        address = self.lab.address(host)
        connection = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        connection.settimeout(timeout)
        try:
            connection.connect((address, port))
        except OSError:
            connection.close()
            raise
        return connection


def as_user(uid):
    if uid == 0:
        return []
    # Numbers only: neither user needs to exist in /etc/passwd. No capability is left, as in a container.
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"]


# ── answers and log lines ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Answer:
    """What curl got. status 0: no answer; `error` says why."""

    status: int
    headers: list
    body: str
    seconds: float
    request_id: str
    error: str = ""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def version(self):
        """Which version answered, by its own words."""
        return self.json.get("version") if self.body.startswith("{") else None

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


LOG_FIELDS = ("start", "request", "code", "flags", "details", "termination", "transport_failure", "received", "sent", "duration", "service_time",
              "forwarded_for", "user_agent", "request_id", "authority", "upstream_host", "cluster", "upstream_local", "downstream_local",
              "downstream_remote", "sni", "route")


def parse_log_line(line):
    """One line of Istio's default text format, plus weir's rule="…" at=FILE:LINE. None for anything else."""
    words = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', re.sub(r"^\[([^\]]*)\]", r"\1", line.split(' rule="')[0]))]
    tail = re.search(r' rule="([^"]*)" at=(\S+)\s*$', line)
    if len(words) != len(LOG_FIELDS) or not line.startswith("[") or not tail:
        return None
    entry = dict(zip(LOG_FIELDS, words))
    entry["rule"], entry["at"] = tail.group(1), tail.group(2)
    entry["line"] = line
    return entry


# ── pods ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Pod(Space):
    """A pod of the lab: addresses, programs and ports as its Pod object says."""

    def __init__(self, lab, spec):
        self.spec = spec
        ips = [entry["ip"] for entry in spec["status"]["podIPs"]]
        self.ip4 = next(ip for ip in ips if ":" not in ip)
        self.ip6 = next(ip for ip in ips if ":" in ip)
        self.namespace = spec["metadata"].get("namespace", "default")
        self.proxy = None
        self.apps = []
        self.enrolled = False
        super().__init__(lab, spec["metadata"]["name"])
        lab.plug(self, [(self.ip4, 32), (self.ip6, 128)])
        self.sh(f"mount --bind {lab.hosts_file} /etc/hosts")

    def enrol(self, *flags, gate="hold:30s", check=True):
        """weir-init, as the pod's init container would run it."""
        argv = [self.lab.program("weir-init"), "-p", "15001", "-z", "15006", "-u", PROXY_UID, "-b", "*", "-i", "*", "-d", "15090,15021,15020", *flags]
        done = self.run(argv + ([f"--start-gate={gate}"] if gate else []), check=check)
        (self.lab.logs / f"{self.name}.init.log").write_text(done.stdout + done.stderr)
        self.enrolled = done.returncode == 0
        return done

    def release(self):
        """Takes weir's rules out of the pod again."""
        self.run([self.lab.program("weir-init"), "remove"], check=True)
        self.enrolled = False

    def start_proxy(self, *flags, agent=None, wait=True, launcher=None, more_env=None):
        """As uid 1337; with a `launcher` (a program and its arguments, which starts the proxy) as root."""
        state = self.lab.run_dir / "state" / self.name
        state.mkdir(parents=True, exist_ok=True)
        os.chmod(state, 0o700)
        os.chown(state, PROXY_UID, PROXY_UID)
        labels = self.spec["metadata"].get("labels", {})
        env = {"POD_NAME": self.name, "POD_NAMESPACE": self.namespace, "INSTANCE_IP": self.ip4, "ISTIO_META_INSTANCE_IPS": f"{self.ip4},{self.ip6}",
               "ISTIO_METAJSON_LABELS": json.dumps(labels), **(more_env or {})}
        argv = [*(launcher or []), self.lab.program("weir-proxy"), "--agent", agent or f"unix:{self.lab.agent_socket}", "--state-dir", state, "--concurrency", "1", *flags]
        self.proxy = self.start(argv, f"{self.name}.access.log", uid=0 if launcher else PROXY_UID, env=env, stderr=f"{self.name}.proxy.log")
        self.proxy.program = "weir-proxy"
        if wait:
            self.wait_ready()
        return self.proxy

    def wait_ready(self, limit=20):
        def ready():
            if self.proxy.poll() is not None:
                raise AssertionError(f"{self.name}: the proxy ended with {self.proxy.returncode}")
            return self.admin("/ready").startswith("LIVE")
        wait_for(ready, limit, f"the proxy of {self.name} to be ready")

    def stop_proxy(self, how=signal.SIGTERM, limit=60):
        self.proxy.send_signal(how)
        self.proxy.wait(limit)
        proxy, self.proxy = self.proxy, None
        return proxy.returncode

    def admin(self, path, method="GET"):
        """Asks the proxy's admin port; "" while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", 15000, timeout=5)
        try:
            connection.sock = self.connect("127.0.0.1", 15000, 5)
            connection.request(method, path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def start_apps(self):
        for container in self.spec["spec"]["containers"]:
            command = [PYTHON if word == "python3" else word for word in container["command"]]
            env = {entry["name"]: entry["value"] for entry in container.get("env", [])} | {"POD_NAME": self.name}
            self.apps.append(self.start(command, f"{self.name}.{container['name']}.log", uid=APP_UID, env=env, cwd=self.lab.src / "samples/bookinfo"))
        ports = [port["containerPort"] for container in self.spec["spec"]["containers"] for port in container.get("ports", [])]
        # Asked from inside by the pod's loopback, which is not captured.
        wait_for(lambda: all(self.accepts("127.0.0.1", port) for port in ports), 20, f"the programs of {self.name} to listen on {ports}")

    def accepts(self, host, port, timeout=2.0):
        try:
            self.connect(host, port, timeout).close()
            return True
        except OSError:
            return False

    def curl(self, url, *flags, headers=None, family=4, timeout=15, uid=APP_UID, request_id=None):
        """An unmodified program's request from this pod, as uid 1000. Redirections are not followed, proxies not used."""
        request_id = request_id or str(uuid.uuid4())
        argv = ["curl", "-sS", f"-{family}", "-i", "-m", timeout, "--noproxy", "*", "-H", f"x-request-id: {request_id}", "-w", "%{stderr}\\nweir-time %{time_total}\\n"]
        for name, value in (headers or {}).items():
            argv += ["-H", f"{name}: {value}"]
        done = self.run([*argv, *flags, url], uid=uid, timeout=timeout + 10, errors="replace")
        status, fields, body, last = 0, [], done.stdout, 100
        while last < 200 and (match := re.match(r"HTTP/\S+ (\d+)[^\n]*\n", body)):
            head, _, body = re.sub(r"^((?:.+\n)+)\r?\n", r"\1\0", body, count=1).partition("\0")
            status = last = int(match.group(1))
            fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head.splitlines()[1:])]
        error = "\n".join(line for line in done.stderr.splitlines() if line.startswith("curl: "))
        seconds = float(re.search(r"weir-time (\S+)", done.stderr).group(1))
        return Answer(status, fields, body, seconds, request_id, error)

    def load(self, url, *flags):
        """Starts samples/bookinfo/load.py here; read its answers with `load_results` once it has ended."""
        log = f"{self.name}.load-{uuid.uuid4().hex[:8]}.log"
        process = self.start([PYTHON, "load.py", url, *flags], log, uid=APP_UID, cwd=self.lab.src / "samples/bookinfo")
        process.log = self.lab.logs / log
        return process

    def load_results(self, process, limit=120):
        process.wait(limit)
        return [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]

    def access_log(self):
        path = self.lab.logs / f"{self.name}.access.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [entry for entry in map(parse_log_line, lines) if entry]

    def log_of(self, request_id, limit=5, count=1):
        """The access-log entries of a request, once `count` of them are written."""
        def found():
            entries = [entry for entry in self.access_log() if entry["request_id"] == request_id]
            return entries if len(entries) >= count else None
        return wait_for(found, limit, f"an access-log line for {request_id} in {self.name}")

    def log_to(self, address, cluster=None, limit=5):
        """The entries whose original destination was `address` ("IP:PORT"), once there is one (that went to `cluster`)."""
        def found():
            return [e for e in self.access_log() if e["downstream_local"] == address and cluster in (None, e["cluster"])]
        return wait_for(found, limit, f"an access-log line to {address} {cluster or ''} in {self.name}")


# ── the lab ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Lab:
    """Use as a context manager. `pods` names the Pod objects to build; None builds all. `copies` adds Pods that are like another
    one but for name and address: {name: (like, last number of the address)}."""

    def __init__(self, pods=None, platform=None, copies=None):
        if os.environ.get("WEIR_LAB") != "inside":
            raise RuntimeError("call lab.enter() first")
        self.processes, self.pods = [], {}
        self.base = self._own_directory()
        self.src, self.run_dir = self.base / "src", self.base / "run"
        self.logs, self.rules_dir, self.mesh_dir = self.run_dir / "logs", self.run_dir / "rules", self.run_dir / "mesh"
        for directory in (self.logs, self.rules_dir, self.mesh_dir):
            directory.mkdir(parents=True, exist_ok=True)
        reports = self.run_dir / "sanitizers"
        reports.mkdir()
        os.chmod(reports, 0o777)
        self.sanitizers = sanitizer_options(reports)
        self.agent_socket = self.run_dir / "agent.sock"
        self.mesh_file = self.mesh_dir / "mesh.yaml"
        self.agent = None
        self.objects = []
        for file in sorted((platform or REPO / "samples/bookinfo/platform").glob("*.yaml")):
            self.objects += [thing for thing in yaml.safe_load_all(file.read_text()) if thing]
        self.copies = [self._copy(name, *of) for name, of in (copies or {}).items()]
        self.objects += self.copies
        self.platform = platform or REPO / "samples/bookinfo/platform"
        self._make_hosts()
        self.node = Space(self, "node")
        self._make_node()
        self.outside = Space(self, "outside")
        self.plug(self.outside, [(OUTSIDE4, 32), (OUTSIDE6, 128)])
        for spec in self.kind("Pod"):
            if pods is None or spec["metadata"]["name"] in pods or spec in self.copies:
                self.pods[spec["metadata"]["name"]] = Pod(self, spec)
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and not issubclass(kind, (SystemExit, KeyboardInterrupt)):
            self.report()
        self.close()

    def __getitem__(self, name):
        return self.pods[name]

    @staticmethod
    def _own_directory():
        """A tmpfs, in this mount namespace only, that uids 1000 and 1337 can reach even where the repository lies under /root."""
        base = next(pathlib.Path(d) for d in ("/mnt", "/srv", "/media", "/opt", "/home") if os.path.isdir(d) and not str(REPO).startswith(d + "/"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "weir-lab", base], check=True)
        (base / "src").mkdir()
        subprocess.run(["mount", "--bind", REPO, base / "src"], check=True)
        (base / "bin").mkdir()
        for envoy in REPO.glob("build/venv/lib/python3*/site-packages/envoy/_bin/envoy"):  # see envoy.py; too big to copy
            (base / "bin/envoy").touch()
            subprocess.run(["mount", "--bind", envoy, base / "bin/envoy"], check=True)
        return base

    def program(self, name):
        """One of weir's programs, copied to where every uid can run it."""
        copied = self.base / "bin" / name
        if not copied.exists():
            shutil.copy2(program(name), copied)
            os.chmod(copied, 0o755)
        return copied

    def _copy(self, name, like, number):
        pod = copy.deepcopy(next(spec for spec in self.kind("Pod") if spec["metadata"]["name"] == like))
        pod["metadata"]["name"] = name
        addresses = [f"10.244.1.{number}", f"fd00:10:244:1::{number:x}"]
        pod["status"] |= {"podIP": addresses[0], "podIPs": [{"ip": ip} for ip in addresses]}
        return pod

    def kind(self, kind):
        return [thing for thing in self.objects if thing["kind"] == kind]

    # ── network ──

    def _make_hosts(self):
        """Names for /etc/hosts: services in all their forms, pods, the outside."""
        self.names = {"localhost": ("127.0.0.1", "::1"), OUTSIDE_NAME: (OUTSIDE4, OUTSIDE6)}
        for service in self.kind("Service"):
            name, namespace = service["metadata"]["name"], service["metadata"].get("namespace", "default")
            ips = service["spec"].get("clusterIPs", [])
            pair = (next((ip for ip in ips if ":" not in ip), None), next((ip for ip in ips if ":" in ip), None))
            for form in (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"):
                self.names[form] = pair
        for pod in self.kind("Pod"):
            ips = [entry["ip"] for entry in pod["status"]["podIPs"]]
            self.names.setdefault(pod["metadata"]["name"], (next(ip for ip in ips if ":" not in ip), next(ip for ip in ips if ":" in ip)))
        self.hosts_file = self.run_dir / "hosts"
        self.hosts_file.write_text("".join(f"{ip} {name}\n" for name, pair in self.names.items() for ip in pair if ip))

    def address(self, host, family=4):
        return self.names[host][0 if family == 4 else 1] if host in self.names else host

    def _make_node(self):
        self.node.sh(f"""
            echo 1 > /proc/sys/net/ipv4/ip_forward
            echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects
            echo 0 > /proc/sys/net/ipv4/conf/default/send_redirects
            echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
            echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
            echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
            ip link add br0 type bridge
            ip addr add {NODE4}/32 dev br0
            ip addr add {NODE6}/128 dev br0 nodad
            ip link set br0 up""")
        done = self.node.run(["nft", "-f", "-"], input=self.service_rules())
        if done.returncode != 0:
            raise AssertionError(f"the kube-proxy stand-in: {done.stderr}\n{self.service_rules()}")

    def service_rules(self):
        """nft text that sends each ClusterIP to one of its endpoints, from the same YAML that the agent reads."""
        text = ""
        for family, kind, version in (("ip", "IPv4", 4), ("ip6", "IPv6", 6)):
            chains, jumps = "", ""
            for service in self.kind("Service"):
                name = service["metadata"]["name"]
                for ip in service["spec"].get("clusterIPs", []):
                    if ip == "None" or ipaddress.ip_address(ip).version != version:
                        continue
                    for port in service["spec"]["ports"]:
                        ends = self._endpoints(name, kind, port["name"])
                        base = f"{name}-{port['port']}"
                        for number, (address, target) in enumerate(ends):
                            shown = f"[{address}]" if version == 6 else address
                            chains += f"  chain {base}-{number} {{\n    meta l4proto tcp dnat to {shown}:{target}\n  }}\n"
                        if ends:
                            choice = ", ".join(f"{n} : goto {base}-{n}" for n in range(len(ends)))
                            jumps += f"    {family} daddr {ip} tcp dport {port['port']} numgen random mod {len(ends)} vmap {{ {choice} }}\n"
                        else:
                            jumps += f"    {family} daddr {ip} tcp dport {port['port']} drop\n"
            text += f"table {family} services {{\n{chains}  chain prerouting {{\n    type nat hook prerouting priority -100; policy accept;\n{jumps}  }}\n}}\n"
        return text

    def _endpoints(self, service, kind, port_name):
        ends = []
        for piece in self.kind("EndpointSlice"):
            if piece["metadata"]["labels"].get("kubernetes.io/service-name") != service or piece["addressType"] != kind:
                continue
            target = next((port["port"] for port in piece["ports"] if port["name"] == port_name), None)
            ends += [(address, target) for end in piece["endpoints"] for address in end["addresses"] if target]
        return ends

    def plug(self, space, addresses):
        """A veth pair from the node's bridge to `space`, with addresses and a default route of each family."""
        veth = f"v{len(self.pods)}-{space.holder.pid}"
        pid = space.holder.pid
        self.node.sh(f"ip link add {veth} type veth peer name eth0 netns {pid}; ip link set {veth} master br0; ip link set {veth} up")
        add = "\n".join(f"ip addr add {address}/{length} dev eth0 {'nodad' if ':' in address else ''}" for address, length in addresses)
        space.sh(f"""
            for f in all default eth0; do
              echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter
              echo 0 > /proc/sys/net/ipv4/conf/$f/accept_redirects
              echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad
              echo 0 > /proc/sys/net/ipv6/conf/$f/accept_redirects
              echo 0 > /proc/sys/net/ipv6/conf/$f/accept_ra
            done
            echo 0 > /proc/sys/net/ipv4/ip_forward
            echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
            {add}
            ip link set eth0 up
            ip route add {NODE4} dev eth0 scope link
            ip route add default via {NODE4} dev eth0
            ip -6 route add {NODE6} dev eth0
            ip -6 route add default via {NODE6} dev eth0""")
        self.node.sh("\n".join(f"ip {'-6 ' if ':' in address else ''}route add {address}/{length} dev br0" for address, length in addresses))

    # ── what runs ──

    def start_outside(self):
        """echo.py on ports 80 and 8000 of the outside host, tcp.py echo on 7000."""
        for port in (80, 8000):
            self.outside.start([PYTHON, "echo.py"], "outside.log", uid=APP_UID, cwd=self.src / "samples/bookinfo",
                               env={"PORT": str(port), "POD_NAME": "outside", "VERSION": "outside"})
        self.outside.start([PYTHON, "tcp.py", "echo", "7000"], "outside.log", uid=APP_UID, cwd=self.src / "samples/bookinfo")
        for port in (80, 8000, 7000):
            wait_for(lambda: Pod.accepts(self.outside, "127.0.0.1", port), 20, f"the outside host to listen on {port}")

    def start_agent(self, *flags, wait=True):
        argv = [self.program("weir-agent"), "--rules", self.rules_dir, "--listen", f"unix:{self.agent_socket}", "--socket-mode", "0666", "--mesh-config", self.mesh_file, *flags]
        if not self.mesh_file.exists():
            self.set_mesh()
        self.agent = self.node.start(argv, "agent.log")
        if wait:
            wait_for(self._agent_accepts, 10, "the agent to listen")
        return self.agent

    def _agent_accepts(self):
        if self.agent.poll() is not None:
            raise AssertionError(f"weir-agent ended with {self.agent.returncode}: {self.log('agent.log')}")
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.agent_socket)) == 0

    def stop_agent(self, how=signal.SIGTERM):
        self.agent.send_signal(how)
        self.agent.wait(30)
        self.agent = None

    def set_mesh(self, outbound="ALLOW_ANY", **more):
        config = {"outboundTrafficPolicy": {"mode": outbound}, "accessLogFile": "/dev/stdout", **more}
        self.put(self.mesh_file, yaml.safe_dump(config))

    def set_rules(self, *files, wait=True, **texts):
        """Makes the rules directory hold the platform's objects, these files of samples/bookinfo/rules, and texts by name
        (name=text gives name.yaml). Waits until every running proxy has them, unless told otherwise."""
        wanted = {file.name: file.read_text() for file in sorted(self.platform.glob("*.yaml"))}
        wanted |= {"copies.yaml": yaml.safe_dump_all(self.copies)} if self.copies else {}
        wanted |= {name: (REPO / "samples/bookinfo/rules" / name).read_text() for name in files}
        wanted |= {name.replace("_", "-") + ".yaml": text for name, text in texts.items()}
        for path in self.rules_dir.glob("*.yaml"):
            if path.name not in wanted:
                path.unlink()
        for name, text in wanted.items():
            path = self.rules_dir / name
            if not path.exists() or path.read_text() != text:
                self.put(path, text)
        if wait:
            self.wait_rules()

    def put(self, path, text):
        """Writes a file in one step, as editors and ConfigMaps do. Returns the time of the save."""
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(text)
        os.replace(temporary, path)
        return time.monotonic()

    def rule_lines(self):
        """{(file, line)} of every http route in the rules directory, read with PyYAML: not our own reader."""
        return {(path.name, line) for path in self.rules_dir.glob("*.yaml") for line in http_route_lines(path.read_text())}

    def wait_rules(self, limit=10):
        """Waits until each running proxy's routes come from exactly the lines that the rules directory has."""
        expected = self.rule_lines()
        for pod in self.pods.values():
            if pod.proxy and self.agent:
                wait_for(lambda pod=pod: routes_in(pod.admin("/config_dump")) == expected, limit,
                         f"the rules in {pod.name}: expected {sorted(expected)}, there {sorted(routes_in(pod.admin('/config_dump')) or [])}")

    def start_all(self, *rules):
        """Everything, enrolled: agent, outside host, then per pod weir-init, programs, proxy."""
        self.set_rules(*rules, wait=False)
        self.start_agent()
        self.start_outside()
        for pod in self.pods.values():
            pod.enrol()
            pod.start_apps()
        for pod in self.pods.values():
            pod.start_proxy(wait=False)
        for pod in self.pods.values():
            pod.wait_ready()
        self.wait_rules()

    def log(self, name):
        path = self.logs / name
        return path.read_text(errors="replace") if path.exists() else ""

    # ── looking inside, and the end ──

    def look_inside(self):
        """Lines that enter the namespaces, with process ids as the rest of the machine sees them."""
        lines = []
        for space in (*self.pods.values(), self.node, self.outside):
            lines.append(f"nsenter -t {outer_pid(space.holder.pid)} -n -m -r    # {space.name}")
        return lines

    def report(self, out=sys.stdout):
        """After a failure: the ends of the logs, how to look inside."""
        print("\n── logs (last lines) ──", file=out)
        for path in sorted(self.logs.iterdir()):
            text = path.read_text(errors="replace").splitlines()[-15:]
            if text and ".load-" not in path.name:
                print(f"{path.name}:", *text, sep="\n    ", file=out)
        keep = REPO / "build/log/lab" / pathlib.Path(sys.argv[0]).stem
        with contextlib.suppress(OSError):
            shutil.copytree(self.logs, keep, dirs_exist_ok=True)
            print(f"── whole logs: {keep} ──", file=out)
        print("── to look inside while it runs (WEIR_KEEP=1 stops here and waits) ──", *self.look_inside(), sep="\n", file=out, flush=True)
        if os.environ.get("WEIR_KEEP"):
            wait_for_interrupt()

    def sanitized(self):
        """True if one of weir's programs that this lab has started has a sanitizer in it."""
        def is_sanitized(path):
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return any(data.find(word) >= 0 for word in (b"__asan_init", b"__tsan_init"))
        return any(is_sanitized(path) for path in (self.base / "bin").glob("weir-*"))

    def check_sanitizers(self, limit=30):
        """Ends weir's programs gently, so that they look for leaks too, and asserts that no sanitizer of any of them has reported."""
        running = [process for process in self.processes if process.program.startswith("weir-") and process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            process.wait(limit)
        reports = sorted((self.run_dir / "sanitizers").iterdir())
        assert not reports, f"{len(reports)} reports; the first:\n{reports[0].read_text(errors='replace')[:8000]}"

    def close(self):
        for process in self.processes:
            with contextlib.suppress(OSError):
                process.kill()
        for process in self.processes:
            process.wait()
        for space in (*self.pods.values(), self.outside, self.node):
            space.holder.kill()
            space.holder.wait()
        self.processes, self.pods = [], {}
        if self.base:
            subprocess.run(["umount", "--lazy", self.base / "src"], check=False)
            subprocess.run(["umount", "--lazy", self.base], check=False)
            self.base = None
        atexit.unregister(self.close)


def http_route_lines(text):
    """The lines of the VirtualServices' http rules in a YAML text: of each `match` entry, or of the whole rule where it has none."""
    lines = []
    try:
        documents = list(yaml.compose_all(text))
    except yaml.YAMLError:
        return lines
    for document in documents:
        top = {key.value: value for key, value in document.value} if document else {}
        if getattr(top.get("kind"), "value", "") != "VirtualService":
            continue
        spec = {key.value: value for key, value in top["spec"].value}
        for entry in spec["http"].value if "http" in spec else []:
            matches = next((value.value for key, value in entry.value if key.value == "match"), []) or [entry]
            lines += [match.start_mark.line + 1 for match in matches]
    return lines


def routes_in(dump):
    """{(file, line)} of the routes in a config dump that name a rule; None while there is no dump."""
    if not dump:
        return None
    found = set()

    def walk(value):
        if isinstance(value, dict):
            weir = value.get("filter_metadata", value.get("filterMetadata", {})).get("weir") if isinstance(value.get("filter_metadata", value.get("filterMetadata")), dict) else None
            if weir and str(weir.get("rule", "")).startswith("VirtualService"):
                found.add((os.path.basename(weir["file"]), int(weir["line"])))
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads(dump))
    return found


def outer_pid(pid):
    """The process id that the outermost process-id namespace has for one of ours."""
    descriptor = os.environ.get("WEIR_OUTER_PROC")
    try:
        own = os.readlink(f"/proc/{pid}/ns/pid")
        base = f"/proc/self/fd/{descriptor}"
        for entry in os.listdir(base):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    status = pathlib.Path(f"{base}/{entry}/status").read_text()
                    chain = re.search(r"^NSpid:\s*(.*)$", status, re.M).group(1).split()
                    if chain[-1] == str(pid) and len(chain) > 1 and os.readlink(f"{base}/{entry}/ns/pid") == own:
                        return int(entry)
    except (OSError, TypeError):
        pass
    return pid


def wait_for_interrupt():
    print("Ctrl-C ends it.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


# ── cases ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Cases:
    """Counts sentences that hold. `with cases("…"):` notes a failure and goes on; `finish` prints the sum and exits."""

    lab: Lab = None
    passed: int = 0
    failed: int = 0
    failures: list = field(default_factory=list)

    def skip(self, sentence, why):
        """Notes a case that cannot run here: visible, and a failure where a skip is not allowed."""
        forbids = forbids_skips()
        print(f"{'FAILED ' if forbids else 'skipped'} {sentence}: {why}{f'; {forbids} forbids to skip' if forbids else ''}", flush=True)
        if forbids:
            self.failed += 1
            self.failures.append(sentence)

    @contextlib.contextmanager
    def __call__(self, sentence):
        begin = time.monotonic()
        try:
            yield
        except Exception as error:  # an assertion or anything else that a case throws
            self.failed += 1
            self.failures.append(sentence)
            print(f"FAILED  {sentence} ({time.monotonic() - begin:.1f} s)", flush=True)
            print("        " + "".join(traceback.format_exception_only(type(error), error)).strip().replace("\n", "\n        "))
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "contextlib" not in f.filename]
            print("        " + " < ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(frames)), flush=True)
        else:
            self.passed += 1
            print(f"ok      {sentence} ({time.monotonic() - begin:.1f} s)", flush=True)

    def finish(self):
        if self.lab and self.lab.sanitized():
            with self("weir's programs end, and their sanitizers have nothing to report"):
                self.lab.check_sanitizers()
        if self.failed and self.lab:
            self.lab.report()
        if self.lab:
            self.lab.close()
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)
