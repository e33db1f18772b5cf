#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weirctl against running programs: who has accepted what, what a proxy has, and the same answer from a dump as from the rules.

    weirctl (node) ── unix socket ── weir-agent;  weirctl --pid (into the pod) ── 127.0.0.1:15000 ── weir-proxy
"""
import json

import lab

lab.enter()

BROKEN = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details, namespace: default}
spec: {hosts: [details], http: [{route: [{destination: {host: details}, weight: -1}]}]}
"""

with lab.Lab(pods=["client", "reviews-v1", "reviews-v2"]) as net:
    cases = lab.Cases(net)
    client = net["client"]
    debug = net.run_dir / "debug.sock"
    net.set_rules("destination-rules.yaml", "reviews-jason-v2.yaml", wait=False)
    net.start_agent("--debug-listen", f"unix:{debug}")
    for pod in net.pods.values():
        pod.enrol()
        pod.start_apps()
        pod.start_proxy()
    net.wait_rules()

    def weirctl(*words, code=0, space=None):
        done = (space or net.node).run([net.program("weirctl"), *words])
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr if code else done.stdout

    def status(*words):
        return weirctl("proxy-status", "--agent", f"unix:{debug}", *words)

    def proxy_config(*words):
        return weirctl("proxy-config", *words, "--pid", client.holder.pid)

    def cells(text):
        return [[cell.strip() for cell in line.split("     ") if cell.strip()] for line in text.splitlines()]

    with cases("proxy-status: every proxy, every type and every rule is synced, with file and lines"):
        text = lab.wait_for(lambda: (t := status()) and "STALE" not in t and "NOT SENT" not in t and t, 10, "all to be synced")
        rows = cells(text)
        assert rows[0] == ["NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "PEER", "VERSION"], rows[0]
        assert [row[0] for row in rows[1:4]] == ["client.default", "reviews-v1.default", "reviews-v2.default"], text
        assert all(row[2:6] == ["SYNCED"] * 4 for row in rows[1:4]), text
        rule = next(row for row in rows if row[:1] == ["VirtualService default/reviews"])
        lines = ",".join(str(line) for name, line in sorted(net.rule_lines()))
        assert rule[1] == f"{net.rules_dir}/reviews-jason-v2.yaml:{lines}" and rule[2:] == ["RDS", "SYNCED by 3"], rule

    with cases("proxy-status of one proxy, and of one that is not there"):
        assert [row[0] for row in cells(status("client.default"))[1:2]] == ["client.default"]
        assert "did you mean client.default?" in weirctl("proxy-status", "--agent", f"unix:{debug}", "clint.default", code=1)
        assert json.loads(status("-o", "json", "client.default"))[0]["proxy"] == "client.default"

    with cases("a changed rule is synced again, at its new lines"):
        text = (lab.REPO / "samples/bookinfo/rules/reviews-jason-v2.yaml").read_text()
        net.put(net.rules_dir / "reviews-jason-v2.yaml", "# one line more\n" + text)
        net.wait_rules()
        lines = ",".join(str(line) for name, line in sorted(net.rule_lines()))
        lab.wait_for(lambda: f"reviews-jason-v2.yaml:{lines} " in status() and "not by" not in status(), 10, "the new lines to be synced")

    with cases("proxy-config from inside the pod's namespace: listeners, routes, clusters, endpoints, in istioctl's columns"):
        listeners, routes, clusters, ends = (cells(proxy_config(kind)) for kind in ("listeners", "routes", "clusters", "endpoints"))
        assert listeners[0] == ["ADDRESSES", "PORT", "MATCH", "DESTINATION"] and ["0.0.0.0,::", "9080", "ALL", "PassthroughCluster"] in listeners, listeners
        route = next(row for row in routes if row[4:5] == ["reviews.default"])
        assert route[0] == "9080" and route[3] == "/*" and "reviews-jason-v2.yaml:" in route[5], route
        assert ["reviews.default.svc.cluster.local", "9080", "v2", "outbound", "EDS", "reviews.default"] in clusters, clusters
        assert [f"{net['reviews-v2'].ip4}:9080", "HEALTHY", "OK", "outbound|9080|v2|reviews.default.svc.cluster.local"] in ends, ends

    with cases("proxy-config filters, and -o json holds the messages"):
        only = cells(proxy_config("clusters", "--fqdn", "reviews.default", "--subset", "v1"))
        assert [row[2] for row in only[1:]] == ["v1"], only
        tables = json.loads(proxy_config("routes", "--name", "9080", "-o", "json"))
        assert [table["name"] for table in tables] == ["9080"] and "virtual_hosts" in tables[0], tables
        listeners = json.loads(proxy_config("listeners", "--port", "15006", "-o", "json"))
        assert [listener["name"] for listener in listeners] == ["virtualInbound"], listeners

    with cases("what the agent has for a proxy is what the proxy has"):
        for kind in ("routes", "listeners", "clusters"):
            agent = json.loads(weirctl("proxy-config", kind, "--agent", f"unix:{debug}", "--proxy", "client.default", "-o", "json"))
            proxy = json.loads(proxy_config(kind, "-o", "json"))
            by_name = lambda items: {item["name"]: item for item in items}
            assert by_name(agent) == by_name(proxy), kind

    with cases("explain says of a live proxy's dump what it says of the rules"):
        dump = net.run_dir / "dump.json"
        dump.write_text(client.admin("/config_dump?include_eds"))
        for words in (["-H", "end-user=jason"], ["--path", "/x"], ["--protocol", "tcp"]):
            asked = ["explain", "--to", "reviews:9080", *words, "-o", "json"]
            from_rules = json.loads(weirctl(*asked, "--rules", net.rules_dir, "--from", "client.default", "--mesh-config", net.mesh_file))
            from_dump = json.loads(weirctl(*asked, "--config-dump", dump))
            assert from_rules["proxy"] == from_dump["proxy"], (from_rules["proxy"], from_dump["proxy"])

    with cases("validate tells what weir-agent --validate tells, word by word"):
        net.put(net.rules_dir / "broken.yaml", BROKEN)
        agent = net.node.run([net.program("weir-agent"), "--rules", net.rules_dir, "--validate"])
        assert weirctl("validate", net.rules_dir, code=1) == agent.stdout and "weight" in agent.stdout, agent.stdout
        found = json.loads(weirctl("validate", net.rules_dir / "broken.yaml", "-o", "json", code=1))
        assert found["errors"] == 1 and found["problems"][0]["line"] == 5, found

    with cases("capture: the same library as weir-init"):
        flags = ["-p", "15001", "-z", "15006", "-u", "1337", "-b", "*", "-i", "*", "-d", "15090,15021,15020", "--start-gate=hold:30s"]
        assert weirctl("capture", "check", *flags, space=client) == client.run([net.program("weir-init"), "check", *flags]).stdout
        assert weirctl("capture", "check", *flags, "-o", "9080", space=client, code=126)
        weirctl("capture", "remove", space=client)
        assert "weir" not in client.sh("nft list tables").stdout
        assert weirctl("capture", "apply", *flags, space=client).startswith("applied\n")

    with cases("who does not answer is named, with what to do"):
        assert "--debug-listen" in weirctl("proxy-status", code=2)
        assert "15000" in weirctl("proxy-config", "routes", code=2)
        assert "no proxy \"nobody.default\" is connected" in weirctl("proxy-config", "routes", "--agent", f"unix:{debug}", "--proxy", "nobody.default", code=2)

    cases.finish()
