# SPDX-License-Identifier: Apache-2.0
"""Where the candidates run and what is measured of them.

    redirect:  pod of one candidate ── veth ── server        plain:  one namespace, all on 127.0.0.1
               load (uid 1000) → nft REDIRECT → 15001                load → a bound port → candidate → backend
               candidate (uid 1337) → backend in server

Every pod has the same rules, made by weir-init with the same flags.
"""
import json
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/netns"))
import lab  # noqa: E402
import peers  # noqa: E402

HTTP, TCP = 8080, 8081
RULES = ["-p", "15001", "-z", "15006", "-u", "1337", "-b", "*", "-i", "*"]


class Place:
    """A directory that every uid can reach, with the programs in it; what else is made here goes with the mount namespace."""

    def __init__(self, top, build, every):
        self.base = lab.Lab._own_directory()
        self.logs = build / "bench-run"
        self.processes, self.sanitizers = [], {}  # as lab.Space wants them
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        for peer in every:
            if str(peer.binary).startswith((str(top), str(build))):
                peer.binary = pathlib.Path(shutil.copy(peer.binary, self.base))
                peer.binary.chmod(0o755)
        for program in ("load", "backend"):
            shutil.copy(build / "bench" / f"bench-{program}", self.base)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def program(self, name):
        return self.base / f"bench-{name}"


def accepts(space, host, port):
    with space.socket() if space else socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class Lane:
    """One candidate doing one kind of work, ready to be loaded."""

    def __init__(self, place, space, dial, process=None, uid=1000):
        self.place, self.space, self.dial, self.process, self.uid = place, space, dial, process, uid

    def ready(self, peer, kind):
        once = ("--requests", 1, "--connections", 1, "--limit", 2)
        lab.wait_for(lambda: "void" not in self.load(kind, *once), 15, f"a first answer through {peer.name} ({kind}); its messages are in {self.place.logs}")
        return self

    def load(self, kind, *flags):
        argv = [self.place.program("load"), kind, self.dial, *flags]
        if self.process:
            if self.process.poll() is not None:
                return {"void": f"has ended with {self.process.returncode}"}
            argv += ["--cpu-of", self.process.pid]
        prefix = self.space.nsenter() if self.space else []
        done = subprocess.run([str(a) for a in [*prefix, *lab.as_user(self.uid), *argv]], capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"void": done.stderr.strip() or f"load ended with {done.returncode}"}


class Redirected:
    """The pods behind the redirection."""

    def __init__(self, place, every):
        self.place, self.lanes, self.pods = place, {}, 0
        self.server = lab.Space(place, "server")
        tune(self.server)
        self.server.start([place.program("backend"), f"0.0.0.0:{HTTP}", f"0.0.0.0:{TCP}"], "backend.log")
        for kind, port in (("http", HTTP), ("tcp", TCP)):
            space, server = self.pod()
            lab.wait_for(lambda: accepts(space, server, port), what="the backend")
            self.lanes["direct", kind] = Lane(place, space, f"{server}:{port}")
            for peer in every:
                self.lanes[peer.name, kind] = self.captured(peer, kind, port)

    def pod(self):
        self.pods += 1
        space = lab.Space(self.place, f"pod{self.pods}")
        ours, theirs = f"10.77.{self.pods}.2", f"10.77.{self.pods}.1"
        subprocess.run(["ip", "link", "add", f"s{self.pods}", "netns", str(self.server.holder.pid), "type", "veth",
                        "peer", "name", "eth0", "netns", str(space.holder.pid)], check=True)
        space.sh(f"ip addr add {ours}/30 dev eth0 && ip link set eth0 up")
        self.server.sh(f"ip addr add {theirs}/30 dev s{self.pods} && ip link set s{self.pods} up")
        tune(space)
        return space, theirs

    def captured(self, peer, kind, port):
        space, server = self.pod()
        space.run([lab.program("weir-init"), "apply", *RULES], check=True)
        name = f"redirect-{peer.name}-{kind}"
        job = peers.Job(kind, f"0.0.0.0:{peers.CAPTURE}", f"{server}:{port}", self.place.base / "jobs" / name, captured=True)
        process = space.start(peer.argv(job), f"{name}.out", uid=1337, stderr=f"{name}.err")
        return Lane(self.place, space, f"{server}:{port}", process).ready(peer, kind)


class Plain:
    """Bound listeners on the loopback of the sandbox's own namespace."""

    def __init__(self, place, every):
        self.place, self.lanes, port = place, {}, 10000
        for kind, backend in (("http", HTTP), ("tcp", TCP)):
            self.lanes["direct", kind] = Lane(place, None, f"127.0.0.1:{backend}")
            for peer in every:
                port += 1
                job = peers.Job(kind, f"127.0.0.1:{port}", f"127.0.0.1:{backend}", place.base / "jobs" / f"plain-{peer.name}-{kind}")
                process = start(place, peer.argv(job), job)
                self.lanes[peer.name, kind] = Lane(place, None, job.listen, process).ready(peer, kind)

    def stop(self):
        for lane in self.lanes.values():
            if lane.process:
                lane.process.kill()
                lane.process.wait()


def tune(space):
    """In our own namespace only: ports for many short connections."""
    script = "sysctl -qw net.ipv4.ip_local_port_range='10240 65000' net.ipv4.tcp_tw_reuse=1"
    space.sh(script) if space else subprocess.run(["sh", "-ec", script], check=True)


def own_namespace(place):
    """The sandbox's own network namespace becomes the plain one: loopback and backend."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    tune(None)
    backend = subprocess.Popen([place.program("backend"), f"127.0.0.1:{HTTP}", f"127.0.0.1:{TCP}"])
    lab.wait_for(lambda: accepts(None, "127.0.0.1", HTTP), what="the backend")
    return backend


def start(place, argv, job):
    """Starts a candidate in the sandbox's own namespace as the proxy's uid; its output is kept."""
    name = job.directory.name
    with open(place.logs / f"{name}.out", "ab") as out, open(place.logs / f"{name}.err", "ab") as err:
        return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd="/", user=1337, group=1337, extra_groups=[])


def private_memory(pid):
    """MB that are this process's alone (smaps_rollup: Private_Clean and Private_Dirty)."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))) / 1024


def ask(port, host):
    """One request; True if it was answered 200."""
    with socket.socket() as client:
        client.settimeout(30)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(f"GET /64 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return client.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False


def start_and_weigh(place, peer, clusters, serial, port=9999, limit=60):
    """Starts a candidate with so many clusters and routes: seconds to the first right answer by the last route, MB when settled."""
    job = peers.Job("http", f"127.0.0.1:{port}", f"127.0.0.1:{HTTP}", place.base / "jobs" / f"start-{peer.name}-{clusters}-{serial}", clusters)
    argv = peer.argv(job)
    begin = time.monotonic()
    process = start(place, argv, job)
    try:
        while not ask(port, f"svc-{clusters - 1}.bench"):
            if process.poll() is not None or time.monotonic() - begin > limit:
                return {"void": f"not accepting after {limit} s" if process.poll() is None else f"ended with {process.returncode}"}
            time.sleep(0.0005)
        seconds = time.monotonic() - begin
        time.sleep(0.5)  # what is freed only after the start is not counted
        return {"start_ms": seconds * 1000, "private_mb": private_memory(process.pid)}
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(job.directory)
