#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Raw TCP through both proxies: half-close, servers that speak first, unknown hosts, and connections to the proxy itself.

    client ── weir-proxy 15001 ──── 15006 weir-proxy ── tcp.py echo :9000, banner :9001 (declared) :9002 (undeclared)
       └── outside (tcp.py echo :7000), in no service
"""
import os
import socket
import threading

import lab

lab.enter()


def talk(connection, data):
    """Sends all, closes the sending half, returns all that comes back."""
    def send():
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    got = b""
    while piece := connection.recv(262144):
        got += piece
    sender.join()
    return got


def ends(pod, host, port, timeout=5):
    """True if a connection is refused or ended by the other side, without a byte."""
    try:
        with pod.connect(host, port, timeout) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return connection.recv(100) == b""
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return True


with lab.Lab(pods=["client", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client, echo = net["client"], net["echo-v1"]
    net.start_all()

    for family in (4, 6):
        vip = net.address("echo", family)
        shown = f"[{vip}]" if family == 6 else vip

        with cases(f"half-close: the server answers after the client's end of stream (IPv{family})"):
            with client.connect(vip, 9000) as connection:
                assert talk(connection, b"hello") == b"hellototal 5\n"
            entry = client.log_to(f"{shown}:9000")[-1]
            assert entry["cluster"] == "outbound|9000||echo.default.svc.cluster.local", entry["line"]
            assert (entry["received"], entry["sent"]) == ("5", "13"), entry["line"]

        with cases(f"10 MB of random bytes come back as they went (IPv{family})"):
            data = os.urandom(10_000_000)
            with client.connect(vip, 9000, 30) as connection:
                assert talk(connection, data) == data + b"total 10000000\n"

        for port, what in ((9001, "a declared TCP port"), (9002, "a port that tells no protocol")):
            with cases(f"a server on {what} that speaks first is heard (IPv{family})"):
                with client.connect(vip, port) as connection:
                    assert connection.recv(100) == b"220 echo-v1 speaks first\r\n"
                    connection.sendall(b"hi\n")
                    assert connection.recv(100) == b"250 you said hi\r\n"

        outside = lab.OUTSIDE4 if family == 4 else lab.OUTSIDE6
        with cases(f"a TCP connection to an unknown host passes through (IPv{family})"):
            with client.connect(outside, 7000) as connection:
                assert talk(connection, b"out") == b"outtotal 3\n"
            entry = client.log_to(f"[{outside}]:7000" if family == 6 else f"{outside}:7000")[-1]
            assert entry["cluster"] == "PassthroughCluster", entry["line"]

        own = client.ip4 if family == 4 else client.ip6
        loopback = "127.0.0.1" if family == 4 else "::1"
        there = echo.ip4 if family == 4 else echo.ip6
        with cases(f"connections to the proxy's own ports end, they don't loop (IPv{family})"):
            for host, port in ((loopback, 15001), (loopback, 15006), (own, 15001), (own, 15006), (there, 15001), (there, 15006)):
                assert ends(client, host, port), f"{host}:{port} answered"
            for port in (15001, 15006):
                assert ends(net.outside, there, port), f"from outside {there}:{port} answered"

        with cases(f"an address where nobody listens ends the connection (IPv{family})"):
            assert ends(client, outside, 7999)

    with cases("a service whose server is gone: the connection ends, flag UF"):
        for app in echo.apps:
            app.kill()
            app.wait()
        assert ends(client, net.address("echo"), 9000)

    with cases("none of the proxies died on the way"):
        assert client.proxy.poll() is None and echo.proxy.poll() is None
        assert len(client.access_log()) < 200, "a loop would have filled the log"

    cases.finish()
