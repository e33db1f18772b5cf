# SPDX-License-Identifier: Apache-2.0
"""A container runtime's part of CNI, in libcni's manner: a chain of plugins run in order with each other's results, the last result
cached for CHECK and DEL; and what a pod needs besides: a network namespace, a stand-in for its proxy, an application."""
import ctypes
import json
import os
import pathlib
import subprocess
import threading
import time

import lab

PLUGINS = pathlib.Path("/usr/lib/cni")
ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A plugin's error object."""

    def __init__(self, plugin, verb, error):
        super().__init__(f"{plugin} {verb}: {error}")
        self.plugin, self.code, self.msg, self.details = plugin, error["code"], error["msg"], error.get("details", "")


def call(path, verb, conf, container="", netns="", ifname="", args="", env=None, timeout=60):
    """One plugin, once: (exit code, standard output)."""
    environment = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_CONTAINERID": container, "CNI_NETNS": str(netns), "CNI_IFNAME": ifname, "CNI_ARGS": args,
                   "CNI_PATH": str(PLUGINS), **(env or {})}
    done = subprocess.run([str(path)], input=json.dumps(conf), capture_output=True, text=True, timeout=timeout, env=environment)
    return done.returncode, done.stdout, done.stderr


class Chain:
    """A network's configuration list."""

    def __init__(self, name, version, plugins, cache):
        self.name, self.version, self.plugins, self.cache = name, version, plugins, pathlib.Path(cache)
        self.cache.mkdir(parents=True, exist_ok=True)

    def _conf(self, plugin, prev, capabilities):
        conf = {**plugin, "name": self.name, "cniVersion": self.version}
        declared = conf.pop("capabilities", {})
        runtime = {key: value for key, value in (capabilities or {}).items() if declared.get(key)}
        if runtime:
            conf["runtimeConfig"] = runtime
        if prev is not None:
            conf["prevResult"] = prev
        return conf

    def _run(self, verb, plugin, prev, pod, ifname, capabilities):
        kind = plugin["type"]
        path = lab.program(kind) if kind == "weir-cni" else PLUGINS / kind
        code, out, err = call(path, verb, self._conf(plugin, prev, capabilities), pod.container, pod.path, ifname, pod.args)
        if code != 0:
            raise Refused(kind, verb, json.loads(out) if out.strip() else {"code": 999, "msg": err})
        return json.loads(out) if verb == "ADD" else out

    def _file(self, pod, ifname):
        return self.cache / f"{self.name}-{pod.container}-{ifname}"

    def add(self, pod, ifname="eth0", capabilities=None):
        result = None
        for plugin in self.plugins:
            result = self._run("ADD", plugin, result, pod, ifname, capabilities)
        self._file(pod, ifname).write_text(json.dumps({"result": result, "capabilities": capabilities}))
        return result

    def _cached(self, pod, ifname):
        file = self._file(pod, ifname)
        return json.loads(file.read_text()) if file.exists() else {"result": None, "capabilities": None}

    def check(self, pod, ifname="eth0", but=()):
        """`but`: plugins that are not asked."""
        cached = self._cached(pod, ifname)
        for plugin in self.plugins:
            if plugin["type"] not in but:
                self._run("CHECK", plugin, cached["result"], pod, ifname, cached["capabilities"])

    def delete(self, pod, ifname="eth0"):
        cached = self._cached(pod, ifname)
        for plugin in reversed(self.plugins):
            self._run("DEL", plugin, cached["result"], pod, ifname, cached["capabilities"])
        self._file(pod, ifname).unlink(missing_ok=True)


# Tells each connection where it was going; sends heartbeats as weir-proxy does, so that a start gate opens.
STAND_IN = """
import socket, struct, threading, time
def serve(family, port):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port)); s.listen(64)
    while True:
        c, _ = s.accept()
        if family == socket.AF_INET:
            to = c.getsockopt(socket.SOL_IP, 80, 16); port_to, ip = struct.unpack("!H", to[2:4])[0], socket.inet_ntop(family, to[4:8])
        else:
            to = c.getsockopt(socket.IPPROTO_IPV6, 80, 28); port_to, ip = struct.unpack("!H", to[2:4])[0], "[" + socket.inet_ntop(family, to[8:24]) + "]"
        c.sendall(f"{'outbound' if port == 15001 else 'inbound'} {ip}:{port_to}".encode()); c.close()
for family in (socket.AF_INET, socket.AF_INET6):
    for port in (15001, 15006):
        threading.Thread(target=serve, args=(family, port), daemon=True).start()
time.sleep(0.2)
print("up", flush=True)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try: u.sendto(b"", ("127.0.0.1", 9))
    except OSError: pass
    time.sleep(0.5)
"""
DIAL = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5); s.settimeout(5)
print(s.recv(100).decode())
"""


class PodSpace:
    """A named network namespace, as a runtime mounts one, in /run/netns of the calling mount namespace."""

    def __init__(self, container, namespace="shop", name="cart-1", userns=False):
        self.container = container
        self.args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID=u-{container};K8S_POD_INFRA_CONTAINER_ID={container}"
        self.holder = self.proxy = None
        if userns:
            self.holder = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "--", "sleep", "infinity"])
            own = os.readlink("/proc/self/ns/net")
            lab.wait_for(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own and pathlib.Path(f"/proc/{self.holder.pid}/comm").read_text() == "sleep\n", 10, "a user namespace")
            self.path = f"/proc/{self.holder.pid}/ns/net"
        else:
            subprocess.run(["ip", "netns", "add", container], check=True)
            self.path = f"/run/netns/{container}"
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *argv, uid=0, check=True):
        done = subprocess.run(["nsenter", f"--net={self.path}", *lab.as_user(uid), *map(str, argv)], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def state(self):
        """All that weir could have changed, as other tools see it."""
        text = "".join(self.run(*command.split()) for command in ("nft -j list ruleset", "ip -j addr", "ip -j rule", "ip -j -6 rule", "ip -j route show table all"))
        drop = {"handle", "packets", "bytes", "expires", "index"}
        return [{k: v for k, v in flat.items() if k not in drop} if isinstance(flat, dict) else flat for flat in _flat([json.loads(line) for line in text.splitlines() if line])]

    def captured(self):
        return subprocess.run(["nsenter", f"--net={self.path}", "nft", "list", "table", "inet", "weir"], capture_output=True).returncode == 0

    def start_proxy(self):
        self.proxy = subprocess.Popen(["nsenter", f"--net={self.path}", *lab.as_user(lab.PROXY_UID), lab.PYTHON, "-c", STAND_IN], stdout=subprocess.PIPE, text=True)
        assert self.proxy.stdout.readline() == "up\n"

    def dial(self, host, port):
        """What an application of the pod, uid 1000, is told."""
        return self.run(lab.PYTHON, "-c", DIAL, host, port, uid=lab.APP_UID).strip()

    def end(self):
        for process in (self.proxy, self.holder):
            if process:
                process.kill()
                process.wait()
        if not self.holder:
            subprocess.run(["ip", "netns", "del", self.container], check=True)


def _flat(value):
    """Every object of nested JSON, without those that it holds."""
    if isinstance(value, dict):
        yield {k: v for k, v in value.items() if not isinstance(v, (dict, list))}
        for item in value.values():
            yield from _flat(item)
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def outside(host, port):
    """What a program of this namespace, the node, is told."""
    done = subprocess.run([lab.PYTHON, "-c", DIAL, host, str(port)], capture_output=True, text=True, timeout=30)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


class Crowd:
    """Network namespaces without a name, many at a time: each is held open by a descriptor of ours."""

    def __init__(self, count):
        self.fds = []
        for _ in range(count):
            thread = threading.Thread(target=self._make)
            thread.start()
            thread.join()

    def _make(self):
        if _libc.unshare(lab.CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))

    def at_once(self, verb, conf):
        """Calls weir-cni for all of them at a time: (failures, seconds each, sorted)."""
        processes, began, failures, seconds = [], {}, [], []
        path = str(lab.program("weir-cni"))
        for number, fd in enumerate(self.fds):
            env = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_CONTAINERID": f"c{number}", "CNI_NETNS": f"/proc/{os.getpid()}/fd/{fd}", "CNI_IFNAME": "eth0", "CNI_PATH": "/"}
            process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
            processes.append(process)
        text = json.dumps(conf)
        for process in processes:  # all stand at their standard input until now
            began[process.pid] = time.monotonic()
            process.stdin.write(text)
            process.stdin.close()
        ends = {}
        def reap(process):
            out = process.stdout.read()
            process.wait()
            ends[process.pid] = (time.monotonic() - began[process.pid], process.returncode, out)
        threads = [threading.Thread(target=reap, args=(process,)) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for took, code, out in ends.values():
            seconds.append(took)
            if code != 0:
                failures.append(out)
        return failures, sorted(seconds)

    def close(self):
        for fd in self.fds:
            os.close(fd)
