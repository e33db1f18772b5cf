#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pod that is captured by TPROXY: its proxy takes connections as they are addressed, its programs see who calls.

    client (REDIRECT) ── weir-proxy 15001 ────┐
    outside ──────────────────────────────────┴── tproxy 15006 weir-proxy ── from the caller's address ── echo :8000, tcp :9000
                                                   (uid 0 → 1337, keeps NET_ADMIN)
"""
import re
import socket

import lab

lab.enter()

CAPABILITIES = ["setpriv", "--bounding-set", "-all,+net_admin,+setuid,+setgid", "--inh-caps", "-all"]
NET_ADMIN = 1 << 12
TPROXY = {"ISTIO_META_INTERCEPTION_MODE": "TPROXY"}


def status(process):
    """Fields of /proc/PID/status of what a launcher has become."""
    with open(f"/proc/{process.pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def conversation(connection, words):
    connection.sendall(words)
    connection.shutdown(socket.SHUT_WR)
    got = b""
    while piece := connection.recv(65536):
        got += piece
    return got


with lab.Lab(pods=["client", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client, echo = net["client"], net["echo-v1"]
    net.set_rules(wait=False)
    net.start_agent()
    client.enrol()
    echo.enrol("-m", "TPROXY")
    for pod in (client, echo):
        pod.start_apps()
    client.start_proxy()

    with cases("without NET_ADMIN the proxy says what it needs, and ends"):
        done = echo.run(["env", "ISTIO_META_INTERCEPTION_MODE=TPROXY", net.program("weir-proxy"), "--agent", f"unix:{net.agent_socket}"], uid=lab.PROXY_UID)
        assert done.returncode == 2, done
        assert "CAP_NET_ADMIN is missing" in done.stderr and "[NET_ADMIN, SETUID, SETGID]" in done.stderr, done.stderr

    echo.start_proxy("--drain-time", "0s", launcher=CAPABILITIES, more_env=TPROXY)

    with cases("started as root it is uid and gid 1337 without groups, and keeps NET_ADMIN alone, in every thread"):
        seen = status(echo.proxy)
        assert seen["Uid"].split() == ["1337"] * 4 and seen["Gid"].split() == ["1337"] * 4 and not seen["Groups"].strip(), seen
        for task in lab.pathlib.Path(f"/proc/{echo.proxy.pid}/task").iterdir():
            fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            held = {name: int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")}
            assert held == {"CapEff": NET_ADMIN, "CapPrm": NET_ADMIN, "CapInh": 0, "CapAmb": 0}, f"{task}: {fields}"
            assert fields["NoNewPrivs"] == "1", fields

    for family in (4, 6):
        there = echo.ip4 if family == 4 else echo.ip6
        shown = f"[{there}]" if family == 6 else there
        caller = client.ip4 if family == 4 else client.ip6
        stranger = lab.OUTSIDE4 if family == 4 else lab.OUTSIDE6

        with cases(f"HTTP through both proxies: the program sees the client's address (IPv{family})"):
            answer = client.curl(f"http://{shown}:8000/who", family=family)
            assert answer.status == 200 and caller in answer.json["peer"], answer
            entry = echo.log_of(answer.request_id)[-1]
            assert entry["downstream_local"] == f"{shown}:8000" and entry["upstream_host"] == f"{shown}:8000", entry["line"]
            assert entry["upstream_local"].rsplit(":", 1)[0].strip("[]") == caller, entry["line"]

        with cases(f"HTTP from a host without a proxy: its address too, and no other client's connection (IPv{family})"):
            with net.outside.connect(there, 8000) as connection:
                connection.sendall(b"GET /who HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n")
                text = b""
                while piece := connection.recv(65536):
                    text += piece
            assert text.startswith(b"HTTP/1.1 200 ") and stranger.encode() in text.partition(b"\r\n\r\n")[2], text

        with cases(f"TCP, a declared port and one that no Service has: half-close and the caller's address (IPv{family})"):
            with net.outside.connect(there, 9000) as connection:
                assert conversation(connection, b"hello") == b"hellototal 5\n"
            entry = echo.log_to(f"{shown}:9000")[-1]
            assert entry["upstream_local"].rsplit(":", 1)[0].strip("[]") == stranger, entry["line"]
            echo.start([lab.PYTHON, "tcp.py", "echo", f"700{family}"], "extra.log", uid=lab.APP_UID, cwd=net.src / "samples/bookinfo")
            lab.wait_for(lambda: echo.accepts("127.0.0.1" if family == 4 else "::1", 7000 + family), 10, "the program to listen")
            with net.outside.connect(there, 7000 + family) as connection:
                assert conversation(connection, b"x" * 100000) == b"x" * 100000 + b"total 100000\n"
            entry = echo.log_to(f"{shown}:700{family}", "InboundPassthroughCluster")[-1]

        with cases(f"200 connections at a time from one host all reach their program (IPv{family})"):
            open_ones = [net.outside.connect(there, 9000) for _ in range(200)]
            for connection in open_ones:
                connection.sendall(b"x")
                assert connection.recv(10) == b"x"
            for connection in open_ones:
                assert conversation(connection, b"y") == b"ytotal 2\n"
                connection.close()

        with cases(f"a port that nobody listens on ends the connection (IPv{family})"):
            with net.outside.connect(there, 7777) as connection:
                connection.sendall(b"is anybody there?\n")
                try:
                    assert connection.recv(10) == b""
                except ConnectionResetError:
                    pass

    with cases("a program of the pod that calls its own pod is not passed through the proxy"):
        before = len(echo.access_log())
        answer = echo.curl(f"http://{echo.ip4}:8000/who")
        assert answer.status == 200 and echo.ip4 in answer.json["peer"], answer
        assert len(echo.access_log()) == before

    with cases("the proxy goes on when its configuration changes, and drains"):
        net.set_mesh("REGISTRY_ONLY")
        answer = client.curl("http://echo:8000/who")
        assert answer.status == 200 and client.ip4 in answer.json["peer"], answer
        assert echo.stop_proxy() == 0
        assert not re.search(r" error |TRANSPARENT|refused", net.log("echo-v1.proxy.log")), net.log("echo-v1.proxy.log")

    cases.finish()
