#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy with several workers, under load that all of them share, while rules change and proxies drain: for ThreadSanitizer.

    client ── weir-proxy (4 workers) ──── weir-proxy (4 workers) ── reviews v1 v2 v3, echo      rules change all the time

Meson runs it in builds with -Db_sanitize=thread only; it says little of other builds. Whatever the sanitizer reports is a failure
(lab.py looks). No request may fail either.
"""
import collections
import time

import lab
from expectations import REVIEWS

lab.enter()

RULES = [(), ("all-v1.yaml",), ("reviews-80-20.yaml",), ("reviews-50-50-v3.yaml",), ("reviews-jason-v2.yaml",)]
PODS = ["client", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "echo-v1"]
WORKERS = ("--concurrency", "4", "--drain-time", "1s")

with lab.Lab(pods=PODS) as net:
    cases = lab.Cases(net)
    client = net["client"]
    net.set_rules("destination-rules.yaml", wait=False)
    net.start_agent()
    for pod in net.pods.values():
        pod.enrol()
        pod.start_apps()
        pod.start_proxy(*WORKERS, wait=False)
    for pod in net.pods.values():
        pod.wait_ready(60)

    with cases("requests on kept and on fresh connections, by both families, while rules change and counters are read: none fails"):
        loads = [client.load(REVIEWS, "--rate", "60", "--seconds", "12", "--connections", "12", "-H", "end-user: jason"),
                 client.load(f"http://[{net.address('reviews', 6)}]:9080/reviews/0", "--rate", "30", "--seconds", "12", "--connections", "6", "-H", "Host: reviews"),
                 client.load("http://echo:8000/", "--rate", "40", "--seconds", "12", "--connections", "8", "-H", "Connection: close")]
        changes = 0
        while any(load.poll() is None for load in loads):
            net.set_rules("destination-rules.yaml", *RULES[changes % len(RULES)], wait=False)
            net.set_mesh(("ALLOW_ANY", "REGISTRY_ONLY")[changes % 2])
            changes += 1
            for page in ("/stats", "/stats/prometheus", "/config_dump", "/clusters"):
                assert client.admin(page), page
            with client.connect("echo", 9000) as connection:
                connection.sendall(b"hello")
                connection.shutdown(lab.socket.SHUT_WR)
                assert connection.recv(100)
        for load in loads:
            results = client.load_results(load)
            statuses = collections.Counter(entry["status"] for entry in results)
            assert set(statuses) == {200}, [entry for entry in results if entry["status"] != 200][:3]
        assert changes > 10, f"{changes} changes of rules"

    with cases("proxies that drain under load end with 0, and others take their place"):
        load = client.load("http://echo:8000/", "--rate", "100", "--seconds", "8", "--connections", "16")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert net["echo-v1"].stop_proxy() == 0
            net["echo-v1"].start_proxy(*WORKERS)
        answered = collections.Counter(entry["status"] for entry in client.load_results(load))
        assert answered[200] > 100, answered  # while a pod has no proxy its calls fail, as they should
        assert client.stop_proxy() == 0

    cases.finish()
