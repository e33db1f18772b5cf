#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The contract is public: a stock Envoy takes its configuration from weir-agent and does what weir-proxy does with it.

    client (weir-proxy) ────┐
                            ├── reviews v1 v2 v3, ratings, productpage, details, echo (weir-proxy; echo in the end Envoy) ;  outside
    client-envoy (Envoy) ───┘

Every pod is captured by weir-init alike, every proxy is uid 1337 and asks the one agent. expectations.py is the table of both.
"""
import re

import envoy
import expectations
import lab

lab.enter()
envoy.require()

PODS = ["client", "productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "echo-v1"]


def check_updates(pod):
    counts = envoy.updates(pod)
    assert all(accepted > 0 and rejected == 0 for accepted, rejected in counts.values()), f"accepted and rejected: {counts}"
    return counts


def check_inbound(net, family):
    """Calls from outside the mesh to the echo pod, through its proxy."""
    echo = net["echo-v1"]
    ip = echo.ip4 if family == 4 else echo.ip6
    answer = lab.Pod.curl(net.outside, f"http://{f'[{ip}]' if family == 6 else ip}:8000/a?b=c", family=family)
    assert answer.status == 200 and answer.header("server") == "istio-envoy", answer
    assert answer.json["peer"].removeprefix("::ffff:") == ("127.0.0.6" if family == 4 else "::6"), answer
    entry = echo.log_of(answer.request_id)[0]
    assert (entry["cluster"], entry["route"], entry["code"]) == ("inbound|8000||", "default", "200"), entry["line"]
    for port, send, receive in ((9000, b"hello", b"hellototal 5\n"), (9001, b"", b"220 echo-v1 speaks first\r\n")):
        with lab.Space.connect(net.outside, ip, port) as connection:
            connection.sendall(send)
            if send:
                connection.shutdown(lab.socket.SHUT_WR)
            got = b""
            while len(got) < len(receive):
                got += connection.recv(4096) or exit(f"port {port}: {got}")
            assert got == receive, got
        assert echo.log_to(f"[{ip}]:{port}" if family == 6 else f"{ip}:{port}")[-1]["cluster"] == f"inbound|{port}||"


with lab.Lab(pods=PODS, copies={"client-envoy": ("client", 20)}) as net:
    cases = lab.Cases(net)
    rows = [*expectations.rows_of_rules(), *expectations.rows_of_mesh(), *expectations.rows_of_tcp()]
    clients = {"weir": net["client"], "envoy": net["client-envoy"]}
    net.set_rules("destination-rules.yaml", wait=False)
    net.start_agent()
    net.start_outside()
    for pod in net.pods.values():
        pod.enrol()
        pod.start_apps()
    for pod in net.pods.values():
        if pod is not clients["envoy"]:
            pod.start_proxy(wait=False)
    envoy.start(clients["envoy"])
    for pod in net.pods.values():
        pod.wait_ready()
    net.wait_rules()

    with cases("Envoy takes every resource of every type"):
        print(f"        accepted, rejected: {check_updates(clients['envoy'])}")

    with cases("every difference that the table allows is told in docs/envoy-differences.md"):
        told = {row.envoy["heading"] for row in rows if row.envoy}
        assert told <= expectations.headings(), told - expectations.headings()

    expectations.run(net, cases, clients, rows)

    with cases("after all these rules Envoy has refused none, and warned of nothing that the agent sent"):
        check_updates(clients["envoy"])
        known = r"no configured limit|caught ENVOY_SIGTERM|gRPC config stream"
        warnings = [line for line in net.log("client-envoy.proxy.log").splitlines() if not re.search(known, line)]
        assert not warnings, "\n".join(warnings[:10])

    for kind in ("weir", "envoy"):
        if kind == "envoy":
            net["echo-v1"].stop_proxy()
            envoy.start(net["echo-v1"])
        for family in (4, 6):
            with cases(f"inbound: HTTP and TCP reach the program, from the inbound source address, through {kind} (IPv{family})"):
                check_inbound(net, family)

    with cases("Envoy before a program takes every resource too"):
        check_updates(net["echo-v1"])

    cases.finish()
