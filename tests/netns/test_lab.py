#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lab itself, without weir: what an un-enrolled pod sees. All else rests on it.

    client ── node (ClusterIPs by DNAT) ── reviews-v1 v2 v3, ratings-v1, echo-v1;  outside
"""
import collections
import sys

import lab

lab.enter()
with lab.Lab(pods=["client", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client = net["client"]
    net.start_outside()
    for pod in net.pods.values():
        pod.start_apps()
    for family in (4, 6):
        with cases(f"a service's name leads to all of its pods over IPv{family}"):
            seen = collections.Counter(client.curl("http://reviews:9080/reviews/0", family=family).version for _ in range(30))
            assert set(seen) == {"v1", "v2", "v3"}, seen
        with cases(f"the peer of a direct connection is the client itself over IPv{family}"):
            peer = client.curl("http://echo:8000/", family=family).json["peer"]
            assert peer.removeprefix("::ffff:") == (client.ip4 if family == 4 else client.ip6), peer
        with cases(f"a host outside is reached over IPv{family}"):
            assert client.curl("http://outside.example/", family=family).version == "outside"
        with cases(f"a program that speaks first is heard over IPv{family}"):
            with client.connect(net.address("echo", family), 9001) as connection:
                assert connection.recv(100).startswith(b"220 ")
    with cases("reviews v2 asks ratings"):
        assert client.curl(f"http://{net['reviews-v2'].ip4}:9080/reviews/0").json["reviews"][0]["rating"]["colour"] == "black"
    with cases("a host that nobody has is refused or times out, but does not hang"):
        assert client.curl("http://203.0.113.99:80/", timeout=2).status == 0
    with cases("500 calls by load.py all succeed"):
        results = client.load_results(client.load("http://reviews:9080/reviews/0", "--count", "500"))
        assert len(results) == 500 and all(entry["status"] == 200 for entry in results), results[:3]
    with cases("the app's uid is 1000 and it has no capability"):
        status = client.run(["cat", "/proc/self/status"], uid=lab.APP_UID).stdout
        assert "Uid:\t1000\t1000\t1000\t1000" in status and "CapEff:\t0000000000000000" in status and "CapBnd:\t0000000000000000" in status, status
    with cases("what a sanitizer reports fails the test"):
        net.check_sanitizers()
        report = net.run_dir / "sanitizers/report.1"
        net.outside.run(["sh", "-c", f"echo 'ERROR: LeakSanitizer' >{report}"], uid=lab.PROXY_UID, check=True)
        try:
            net.check_sanitizers()
        except AssertionError as error:
            assert "LeakSanitizer" in str(error), error
        else:
            raise AssertionError("it did not")
        report.unlink()
    cases.finish()
