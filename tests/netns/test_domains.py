#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--exclude-domains: weir-init watch resolves names and keeps their addresses in the rules; what is captured meanwhile has no proxy.

    pod client: names.py (DNS, 127.0.0.1), weir-init watch ─── outside 203.0.113.10 2001:db8:113::10, echo-v1
"""
import json
import os
import re
import signal

import lab

FLAGS = ["-b", "*", "-i", "*"]
DOMAINS = "--exclude-domains=api.example.com,cdn.example.com"
lab.enter()

with lab.Lab(pods=["client", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client, echo = net["client"], net["echo-v1"]
    init = net.program("weir-init")
    net.start_outside()
    echo.start_apps()
    names, resolv = net.run_dir / "names.json", net.run_dir / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")

    def tell(table):
        (names.parent / "names.new").write_text(json.dumps(table))
        os.replace(names.parent / "names.new", names)

    def watch(log):
        script = f'[ ! -e /etc/resolv.conf ] || mount --bind {resolv} /etc/resolv.conf; exec {init} watch {DOMAINS}'
        return client.start(["unshare", "--mount", "--propagation", os.environ["WEIR_PROPAGATION"], "sh", "-ec", script], log)

    def standing():
        """The addresses in the two sets, as nft shows them."""
        found = []
        for name in ("domains4", "domains6"):
            listing = json.loads(client.run(["nft", "-j", "list", "set", "inet", "weir", name], check=True).stdout)["nftables"]
            found += next(item["set"] for item in listing if "set" in item).get("elem", [])
        return sorted(found)

    def is_direct(address):
        return client.curl(f"http://[{address}]:8000/" if ":" in address else f"http://{address}:8000/", family=6 if ":" in address else 4, timeout=5).status == 200

    tell({"api.example.com": [lab.OUTSIDE4], "cdn.example.com": [lab.OUTSIDE6]})
    client.start([lab.PYTHON, "-B", lab.REPO / "tests/netns/names.py", names], "names.log")
    lab.wait_for(lambda: "up" in net.log("names.log"), 10, "the DNS server")

    with cases("without rules that ask for it, watch ends at once and says what to do"):
        done = client.run([init, "watch", DOMAINS])
        assert done.returncode == 2 and "run weir-init apply --exclude-domains=NAMES first" in done.stderr, done
    client.run([init, *FLAGS, DOMAINS], check=True)
    with cases("before anybody watches, the names' addresses are captured like all others"):
        assert standing() == [] and not is_direct(lab.OUTSIDE4) and not is_direct(lab.OUTSIDE6)
        assert client.run([init, "check", *FLAGS, DOMAINS]).returncode == 0
    watcher = watch("watch.log")
    with cases("watched, the addresses of both families are direct, others are not, and check finds nothing"):
        lab.wait_for(lambda: len(standing()) == 2, 20, "the addresses")
        assert standing() == sorted([lab.OUTSIDE4, lab.OUTSIDE6]), standing()
        assert is_direct(lab.OUTSIDE4) and is_direct(lab.OUTSIDE6) and not is_direct(echo.ip4)
        assert client.run([init, "check", *FLAGS, DOMAINS]).returncode == 0
    with cases("an apply that changes something else leaves them, and explain tells"):
        client.run([init, *FLAGS, DOMAINS, "-d", "1"], check=True)
        assert len(standing()) == 2
        said = client.run([init, "explain", *FLAGS, DOMAINS, "--to", f"{lab.OUTSIDE4}:8000", "--excluded-domain"]).stdout
        assert "direct" in said and "--exclude-domains api.example.com,cdn.example.com" in said, said
    with cases("a new address is taken when the time to live is over"):
        tell({"api.example.com": [lab.OUTSIDE4, echo.ip4], "cdn.example.com": [lab.OUTSIDE6]})
        lab.wait_for(lambda: echo.ip4 in standing(), 20, "the new address")
        assert f"api.example.com is {echo.ip4}" in net.log("watch.log"), net.log("watch.log")
    with cases("a server that is silent: the last good addresses stay, with a line that says so"):
        names.unlink()
        lab.wait_for(lambda: "the addresses it had before still count" in net.log("watch.log"), 30, "the failure to be told")
        assert len(standing()) == 3
    with cases("rules that were taken away and made again are filled again, even while the server is silent"):
        client.run([init, "remove"], check=True)
        client.run([init, *FLAGS, DOMAINS], check=True)
        lab.wait_for(lambda: len(standing()) == 3, 30, "the addresses to come back")
    with cases("SIGTERM ends it with 0, and the addresses stay"):
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(30) == 0, watcher.returncode
        assert len(standing()) == 3
    with cases("a watch that is started anew while the server is silent keeps what the former left"):
        watcher = watch("again.log")
        lab.wait_for(lambda: "no addresses it had before still count" in net.log("again.log"), 30, "the failure to be told")
        assert len(standing()) == 3
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(30) == 0

    client.run([init, "remove"], check=True)
    for variant in ["nft", "legacy"]:
        backend = f"iptables-{variant}"
        flags = [*FLAGS, DOMAINS, "--quic=refuse", f"--backend={backend}"]

        def kept():
            """The addresses in the chains of both families and both tables."""
            saved = "".join(client.run([f"ip{six}tables-{variant}-save"], check=True).stdout for six in ("", "6"))
            return sorted(line.split()[3].split("/")[0] for line in saved.splitlines() if re.match(r"-A WEIR_\w*_DOMAINS -d ", line))

        tell({"api.example.com": [lab.OUTSIDE4], "cdn.example.com": [lab.OUTSIDE6]})
        clean = client.run([f"iptables-{variant}-save", "-t", "nat"], check=True).stdout.count("WEIR")
        client.run([init, *flags], check=True)
        with cases(f"{backend}: not excluded before anybody watches, then both families, other traffic captured, and check finds nothing"):
            assert kept() == [] and not is_direct(lab.OUTSIDE4) and not is_direct(lab.OUTSIDE6)
            watcher = watch(f"watch-{variant}.log")
            lab.wait_for(lambda: len(kept()) == 4, 20, "the addresses")
            assert kept() == sorted([lab.OUTSIDE4, lab.OUTSIDE6] * 2), kept()
            assert is_direct(lab.OUTSIDE4) and is_direct(lab.OUTSIDE6) and not is_direct(echo.ip4)
            done = client.run([init, "check", *flags])
            assert done.returncode == 0, done
        with cases(f"{backend}: a second apply keeps them, a changed plan too, and an address that is new is taken"):
            client.run([init, *flags], check=True)
            client.run([init, *flags, "-d", "1"], check=True)
            assert len(kept()) == 4, kept()
            tell({"api.example.com": [lab.OUTSIDE4, echo.ip4], "cdn.example.com": [lab.OUTSIDE6]})
            lab.wait_for(lambda: echo.ip4 in kept(), 20, "the new address")
        with cases(f"{backend}: domains on and off, and remove, leave nothing of them"):
            watcher.send_signal(signal.SIGTERM)
            assert watcher.wait(30) == 0
            client.run([init, *FLAGS, f"--backend={backend}"], check=True)
            assert kept() == [] and client.run([init, "check", *FLAGS]).returncode == 0
            client.run([init, *flags], check=True)
            client.run([init, "remove"], check=True)
            assert client.run([f"iptables-{variant}-save", "-t", "nat"], check=True).stdout.count("WEIR") == clean == 0

    cases.finish()
