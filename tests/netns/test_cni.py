#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weir-cni last in chains of Debian's plugins, called as libcni does; the proxy is a stand-in that tells each connection where it was
going, tools that look are foreign.

    this namespace, the node (private mount and network namespaces; /run and /var/lib are its own)
      │ weir0 10.98.0.1 fd98::1        hostPort 18080
      ├── veth ── pod (bridge, portmap, firewall, tuning, weir-cni)      10.98.0.x fd98::x
      └── veth ── pod (ptp, weir-cni)                                    fd97::x alone

    test_cni.py --rounds N      only the crowd: 100 sandboxes at once, N times
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

import lab

lab.enter()

from cni_driver import ANNOTATIONS, PLUGINS, Chain, Crowd, PodSpace, Refused, call, outside  # noqa: E402

CNI = lab.program("weir-cni")
for program in ("bridge", "ptp", "portmap", "firewall", "tuning", "host-local"):
    if not (PLUGINS / program).exists():
        lab.skip(f"{PLUGINS / program} is not installed; scripts/install does it")

for directory in ("/run", "/var/lib"):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "weir-cni", directory], check=True)
os.mkdir("/run/netns")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for sysctl in ("net/ipv6/conf/default/accept_dad", "net/ipv6/conf/all/accept_dad"):
    pathlib.Path("/proc/sys", sysctl).write_text("0")
STATE, LOG = pathlib.Path("/run/weir/cni"), pathlib.Path("/run/cni.log")
STATUS_ANNOTATION = {"sidecar.istio.io/status": json.dumps({"initContainers": ["istio-validation"], "containers": ["istio-proxy"]})}
HOST_PORTS = [{"hostPort": 18080, "containerPort": 8080, "protocol": "tcp", "hostIP": ""}]


def ipam(*subnets):
    routes = [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in subnets]
    return {"type": "host-local", "dataDir": "/var/lib/ipam", "routes": routes, "ranges": [[{"subnet": subnet}] for subnet in subnets]}


def weir(**fields):
    return {"type": "weir-cni", "capabilities": {ANNOTATIONS: True}, "log": str(LOG), **fields}


def bridge_chain(version, name="pods", **fields):
    return Chain(name, version, [
        {"type": "bridge", "bridge": "weir0", "isGateway": True, "hairpinMode": True, "ipam": ipam("10.98.0.0/24", "fd98::/64")},
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": False},
        {"type": "firewall", "backend": "iptables"},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.all.log_martians": "1"}},
        weir(**fields)], "/var/lib/cni/results")


def records():
    return sorted(path.name for path in STATE.iterdir()) if STATE.exists() else []


def log_lines():
    return [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []


def addresses(result):
    return [entry["address"].split("/")[0] for entry in result["ips"]]


cases = lab.Cases()
# Two of Debian's plugins (1.1.1) fail their own CHECK: portmap looks for the IPv4 rule among those of IPv6, firewall misses what the
# DEL of another network of the same pod took away.
FAULTY = ("portmap", "firewall")


def crowd(rounds):
    conf = {"cniVersion": "1.0.0", "name": "crowd", "enrol": "all", "log": "none", "prevResult": {"cniVersion": "1.0.0", "interfaces": [], "ips": []}}
    many = Crowd(100)
    for number in range(rounds):
        failures, seconds = many.at_once("ADD", conf)
        assert not failures, f"{len(failures)} of 100 in round {number + 1}, the first: {failures[0]}"
        print(f"        100 ADD at once: p50 {seconds[50] * 1000:.0f} ms, p99 {seconds[98] * 1000:.0f} ms", flush=True)
        failures, _ = many.at_once("CHECK", conf)
        assert not failures, f"{len(failures)} of 100 are not captured, the first: {failures[0]}"
        assert len([name for name in records() if name.endswith(",eth0,crowd.json")]) == 100, records()
        failures, _ = many.at_once("DEL", conf)
        assert not failures and not [name for name in records() if name.endswith(",crowd.json")], failures or records()
    many.close()


if sys.argv[1:2] == ["--rounds"]:
    with cases(f"100 sandboxes at once, {sys.argv[2]} rounds: each is captured, none is left"):
        crowd(int(sys.argv[2]))
    cases.finish()

for version in ("0.4.0", "1.0.0"):
    chain, pod = bridge_chain(version), PodSpace(f"c{version.replace('.', '')}")
    capabilities = {"portMappings": HOST_PORTS, ANNOTATIONS: {**STATUS_ANNOTATION, "traffic.sidecar.istio.io/excludeOutboundPorts": "22"}}
    with cases(f"{version}: behind bridge, portmap, firewall and tuning, the result is what the plugin before gave"):
        result = chain.add(pod, capabilities=capabilities)
        assert result["cniVersion"] == version and len(result["ips"]) == 2 and result["interfaces"][2]["sandbox"] == pod.path, result
        assert pod.captured() and records() == [f"{pod.container},eth0,pods.json"], records()
        line = log_lines()[-1]
        assert line["outcome"] == "enrolled" and line["pod"] == "cart-1" and len(line["trace"]) == 32 and line["backend"] == "nft", line
    ip4, ip6 = addresses(result)
    with cases(f"{version}: until the proxy shows itself connections wait, then they are captured both ways, in both families, and by hostPort"):
        waiting = []
        thread = threading.Thread(target=lambda: waiting.append(pod.dial("192.0.2.1", 80)))
        thread.start()
        pod.start_proxy()
        thread.join()
        assert waiting == ["outbound 192.0.2.1:80"], waiting
        assert pod.dial("2001:db8::1", 80) == "outbound [2001:db8::1]:80"
        assert outside(ip4, 8080) == f"inbound {ip4}:8080" and outside(ip6, 8080) == f"inbound [{ip6}]:8080"
        assert outside("10.98.0.1", 18080) == f"inbound {ip4}:8080", outside("10.98.0.1", 18080)
    with cases(f"{version}: the pod's annotation counts: an excluded port is not captured"):
        rules = pod.run("nft", "list", "table", "inet", "weir")
        assert "tcp dport 22" in rules, rules
    with cases(f"{version}: CHECK passes, also for a later configuration; a rule that was taken away is named"):
        chain.check(pod, but=FAULTY)
        chain.plugins[-1]["flags"] = {"istio-local-outbound-ports-exclude": "23"}
        chain.check(pod, but=FAULTY)
        pod.run("nft", "flush", "chain", "inet", "weir", "outbound")
        try:
            chain.check(pod, but=FAULTY)
            raise AssertionError("CHECK passed")
        except Refused as refused:
            assert refused.plugin == "weir-cni" and refused.code == 100 and "chain outbound" in refused.details, refused
    with cases(f"{version}: DEL takes all away, twice is well, and so is a namespace that has gone"):
        chain.delete(pod)
        assert not pod.captured() and "weir" not in json.dumps(pod.state()) and not records(), (pod.state(), records())
        chain.delete(pod)
        pod.end()
        chain.delete(pod)
        assert log_lines()[-1]["outcome"] == "nothing-there", log_lines()[-1]

with cases("a pod with IPv6 alone, behind ptp"):
    chain, pod = Chain("six", "1.0.0", [{"type": "ptp", "ipam": ipam("fd97::/64")}, weir(enrol="all", flags={"start-gate": "off"})], "/var/lib/cni/results"), PodSpace("six")
    (ip6,) = addresses(chain.add(pod))
    pod.start_proxy()
    assert outside(ip6, 8080) == f"inbound [{ip6}]:8080" and pod.dial("2001:db8::1", 80) == "outbound [2001:db8::1]:80"
    chain.check(pod)
    chain.delete(pod)
    assert not pod.captured() and not records()
    pod.end()

with cases("a pod in a user namespace of its own"):
    chain, pod = bridge_chain("1.0.0", enrol="all", flags={"start-gate": "off"}), PodSpace("users", userns=True)
    ip4, _ = addresses(chain.add(pod))
    pod.start_proxy()
    assert outside(ip4, 8080) == f"inbound {ip4}:8080"
    chain.check(pod)
    chain.delete(pod)
    assert not pod.captured()
    pod.end()

with cases("two interfaces: what the first network's DEL leaves captured, the second's takes away"):
    first, second, pod = bridge_chain("1.0.0", "one", enrol="all"), bridge_chain("1.0.0", "two", enrol="all"), PodSpace("twice")
    first.add(pod, "eth0")
    second.plugins[0]["ipam"]["routes"] = []
    second.add(pod, "eth1")
    first.delete(pod, "eth0")
    assert pod.captured() and log_lines()[-1]["outcome"] == "shared", log_lines()[-1]
    second.check(pod, "eth1", but=FAULTY)
    second.delete(pod, "eth1")
    assert not pod.captured() and not records()
    pod.end()

with cases("pods that are left alone: nothing is changed, the reason is in the log, DEL and CHECK are well"):
    pod = PodSpace("alone")
    clean = pod.state()
    for annotations, fields, reason in (({}, {}, "not-enrolled"), ({**STATUS_ANNOTATION, "sidecar.istio.io/inject": "false"}, {}, "inject-false"),
                                        (STATUS_ANNOTATION, {"exclude_namespaces": ["shop"]}, "excluded-namespace"),
                                        ({"sidecar.istio.io/status": '{"initContainers": ["istio-init"]}'}, {}, "init-container"),
                                        ({**STATUS_ANNOTATION, "sidecar.istio.io/interceptionMode": "NONE"}, {}, "mode-none")):
        chain = Chain("alone", "1.0.0", [weir(**fields)], "/var/lib/cni/results")
        chain.add(pod, capabilities={ANNOTATIONS: annotations})
        assert pod.state() == clean and log_lines()[-1]["reason"] == reason, (reason, log_lines()[-1])
        chain.check(pod)
        chain.delete(pod)
        assert pod.state() == clean and not records()

with cases("an ADD that fails leaves the namespace as it was, no record, and an error with what to do; DEL does not fail for it"):
    pod.run("nft", "add table inet weir; add chain inet weir mine")
    before = pod.state()
    chain = Chain("foreign", "1.0.0", [weir(enrol="all")], "/var/lib/cni/results")
    try:
        chain.add(pod)
        raise AssertionError("ADD passed")
    except Refused as refused:
        assert refused.code == 101 and "inet weir" in refused.details, refused
    assert pod.state() == before and not records()
    chain.delete(pod)
    assert pod.state() == before
    pod.end()

with cases("the plugin's own namespace is refused by each operation"):
    for verb in ("ADD", "CHECK", "DEL"):
        code, out, _ = call(CNI, verb, {"cniVersion": "1.0.0", "name": "own", "enrol": "all", "log": "none", "prevResult": {}}, "own", "/proc/self/ns/net", "eth0")
        assert code == 1 and json.loads(out)["code"] == 8, (verb, out)

with cases("STATUS is well with the privileges of a node, and names what is missing without"):
    conf = {"cniVersion": "1.1.0", "name": "pods", "log": "none"}
    assert call(CNI, "STATUS", conf)[:2] == (0, ""), call(CNI, "STATUS", conf)
    done = subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", CNI], input=json.dumps(conf), capture_output=True, text=True, env={"CNI_COMMAND": "STATUS"})
    error = json.loads(done.stdout)
    assert done.returncode == 1 and error["code"] == 50 and "Operation not permitted" in error["details"], error
    done = call(CNI, "STATUS", {**conf, "policy_file": "/run/none.json"})
    assert json.loads(done[1])["code"] == 50 and "/run/none.json" in done[1], done

with cases("GC removes the records of its network that nobody lists, and no others"):
    pods = [PodSpace(f"gc{number}") for number in range(3)]
    for network in ("a", "b"):
        for pod in pods:
            Chain(network, "1.0.0", [weir(enrol="all")], "/var/lib/cni/results").add(pod, f"if{network}")
    (STATE / "gc1,ifa,a.json.new").write_text("cut")
    code, out, _ = call(CNI, "GC", {"cniVersion": "1.1.0", "name": "a", "log": "none", "cni.dev/valid-attachments": [{"containerID": "gc0", "ifname": "ifa"}]})
    assert (code, out) == (0, "") and records() == ["gc0,ifa,a.json", "gc0,ifb,b.json", "gc1,ifb,b.json", "gc2,ifb,b.json"], records()
    call(CNI, "GC", {"cniVersion": "1.1.0", "name": "a", "log": "none", "cni.dev/valid-attachments": []})
    call(CNI, "GC", {"cniVersion": "1.1.0", "name": "b", "log": "none", "cni.dev/valid-attachments": []})
    assert not records(), records()
    for pod in pods:
        pod.end()

with cases("what takes longer than its limit ends with code 11, once and for all"):
    os.mkfifo("/run/policy.fifo")
    conf = {"cniVersion": "1.0.0", "name": "slow", "log": str(LOG), "timeout": "1s", "policy_file": "/run/policy.fifo"}
    code, out, _ = call(CNI, "ADD", conf, "slow", "/run/netns/none", "eth0")
    assert code == 1 and json.loads(out)["code"] == 11 and json.loads(out)["cniVersion"] == "1.0.0", out
    assert log_lines()[-1]["code"] == 11, log_lines()[-1]

with cases("journald's socket gets each line, if it is there; debug tells standard error too"):
    os.makedirs("/run/systemd/journal")
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind("/run/systemd/journal/socket")
    journal.settimeout(5)
    code, _, err = call(CNI, "STATUS", {"cniVersion": "1.1.0", "name": "pods", "plugin_log_level": "debug"}, env={"TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    fields = dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines())
    message = json.loads(fields["MESSAGE"])
    assert code == 0 and fields["SYSLOG_IDENTIFIER"] == "weir-cni" and fields["PRIORITY"] == "6" and json.loads(err) == message, (fields, err)
    assert message["outcome"] == "ready" and message["trace"] == "4bf92f3577b34da6a3ce929d0e0e4736", message

with cases("100 sandboxes at once: each is captured, none is left"):
    crowd(1)

cases.finish()
