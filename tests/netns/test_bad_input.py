#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input, given to the programs themselves: one clear message each, a documented exit code, no half-made state.

    pod client: weir-init with wrong flags;  node: weir-agent with wrong rules;  pod client: weir-proxy with a wrong ADS server

Messages are golden texts in testdata/bad-input (scripts/update-golden rewrites them; review the diff). Exit codes: 0 ok,
1 usage or configuration, 2 environment, 126 check failed.
"""
import os
import pathlib
import re
import signal

import lab

lab.enter()
GOLDEN = pathlib.Path(__file__).resolve().parent / "testdata/bad-input"
UPDATE = os.environ.get("WEIR_UPDATE_GOLDEN")


def golden(name, text):
    """Compares with testdata/bad-input/NAME.txt; paths of the lab and times are replaced before."""
    text = text.replace(str(net.rules_dir), "RULES").replace(str(net.run_dir), "RUN")
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*", "TIME", text)
    text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        path.write_text(text)
    expected = path.read_text() if path.exists() else "(no golden text)\n"
    assert text == expected, f"{path.name} differs\n--- expected\n{expected}--- seen\n{text}"


def report(done):
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


VS = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {name}
  namespace: default
spec:
  hosts:
    - {host}
  http:
    - route:
        - destination:
            host: {to}
            subset: {subset}
"""

RULES = {
    "yaml-that-does-not-parse": "kind: VirtualService\nmetadata: {name: x\nspec: [\n",
    "unknown-kind": "apiVersion: networking.istio.io/v1\nkind: VirtualServices\nmetadata:\n  name: x\nspec: {}\n",
    "kind-that-guards-a-door": "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: deny-all\n  namespace: default\nspec: {}\n",
    "unknown-field": VS.format(name="reviews", host="reviews", to="reviews", subset="v1") + "      retires:\n        attempts: 3\n",
    "duplicate-key": VS.format(name="reviews", host="reviews", to="reviews", subset="v1") + "      timeout: 1s\n      timeout: 2s\n",
    "unknown-host": VS.format(name="reviews", host="reviews", to="revews", subset="v1"),
    "unknown-subset": VS.format(name="reviews", host="reviews", to="reviews", subset="v9"),
    "negative-weight": VS.format(name="reviews", host="reviews", to="reviews", subset="v1") + "          weight: -10\n",
    "two-mistakes": VS.format(name="reviews", host="reviews", to="reviews", subset="v1") + "          weight: ten\n      timeout: soon\n",
    "two-for-one-host": VS.format(name="a", host="reviews", to="reviews", subset="v1") + "---\n" + VS.format(name="b", host="reviews", to="reviews", subset="v2"),
}

with lab.Lab(pods=["client", "reviews-v1", "reviews-v2"]) as net:
    cases = lab.Cases(net)
    client = net["client"]

    # ── weir-init ──
    init = net.program("weir-init")
    flags = {
        "init-unknown-flag": ["--captuer-everything"],
        "init-port-70000": ["-p", "70000"],
        "init-cidr-with-letters": ["-i", "10.0.0.0/ab"],
        "init-contradicting-flags": ["-i", "*", "-x", "10.0.0.0/8", "-p", "15006", "-z", "15006"],
        "init-several-mistakes": ["-p", "0", "-z", "x", "-x", "300.1.2.3/8", "--start-gate=hold"],
    }
    for name, argv in flags.items():
        with cases(f"weir-init {' '.join(argv)}: a message, exit 1, no rules"):
            done = client.run([init, *argv])
            assert done.returncode == 1, report(done)
            golden(name, report(done))
            assert client.run(["nft", "list", "ruleset"]).stdout == ""

    with cases("weir-init without CAP_NET_ADMIN: a message, exit 2, no rules"):
        done = client.run([init, "-b", "*", "-i", "*"], uid=lab.APP_UID)
        assert done.returncode == 2, report(done)
        golden("init-no-cap-net-admin", report(done))
        assert client.run(["nft", "list", "ruleset"]).stdout == ""

    # ── weir-agent --validate ──
    agent = net.program("weir-agent")
    for name, text in RULES.items():
        with cases(f"rules with {name.replace('-', ' ')}: --validate says file, line, field"):
            net.set_rules("destination-rules.yaml", wait=False, **{name.replace("-", "_"): text})
            done = net.node.run([agent, "--rules", net.rules_dir, "--validate"])
            assert f"{name}.yaml:" in report(done), report(done)
            golden(f"rules-{name}", report(done))

    with cases("sound rules: --validate is content"):
        net.set_rules("destination-rules.yaml", "all-v1.yaml", wait=False)
        done = net.node.run([agent, "--rules", net.rules_dir, "--validate"])
        assert done.returncode == 0, report(done)

    with cases("a rules directory that is not there: exit 2"):
        done = net.node.run([agent, "--rules", net.run_dir / "nowhere", "--validate"])
        assert done.returncode == 2, report(done)
        golden("agent-no-such-directory", report(done))

    with cases("weir-agent with an unknown flag and a wrong address: both are said, exit 1"):
        done = net.node.run([agent, "--rules", net.rules_dir, "--lisen", "x", "--listen", "10.0.0.1:99999"])
        assert done.returncode == 1, report(done)
        golden("agent-wrong-flags", report(done))

    with cases("weir-proxy with wrong flags: exit 1"):
        done = client.run([net.program("weir-proxy"), "--agent", "nonsense", "--admin-port", "70000", "--drain-time", "soon"])
        assert done.returncode == 1, report(done)
        golden("proxy-wrong-flags", report(done))

    # ── a running agent: the last good form stays ──
    net.set_rules("destination-rules.yaml", "all-v1.yaml", wait=False)
    net.start_agent()
    for pod in net.pods.values():
        pod.enrol()
        pod.start_apps()
        pod.start_proxy()
    net.wait_rules()
    reviews = "http://reviews:9080/reviews/0"

    with cases("a rule file broken while it runs: the last good form stays, the log names file and line, others go on changing"):
        assert client.curl(reviews).version == "v1"
        seen = len(net.log("agent.log"))
        net.put(net.rules_dir / "all-v1.yaml", (net.rules_dir / "all-v1.yaml").read_text().replace("  http:\n", "  http: [\n", 1))
        lab.wait_for(lambda: "all-v1.yaml:" in net.log("agent.log")[seen:], 5, "the agent to complain")
        assert client.curl(reviews).version == "v1"
        golden("agent-broken-while-running", "".join(line + "\n" for line in net.log("agent.log")[seen:].splitlines() if "all-v1.yaml" in line))
        net.put(net.rules_dir / "echo.yaml", (net.rules_dir / "echo.yaml").read_text().replace("10.244.1.15", "10.244.1.16"))
        lab.wait_for(lambda: "10.244.1.16" in client.admin("/clusters"), 5, "the new endpoint, although another file is broken")
        assert client.curl(reviews).version == "v1"

    for name, what in (("unknown-host", "host"), ("unknown-subset", "subset")):
        with cases(f"a VirtualService to an unknown {what}: requests get 503, the log line names the rule"):
            net.set_rules("destination-rules.yaml", **{name.replace("-", "_"): RULES[name]})
            answer = client.curl(reviews)
            assert answer.status == 503, answer
            entry = client.log_of(answer.request_id)[0]
            assert entry["rule"] == "VirtualService default/reviews" and f"{name}.yaml:" in entry["at"], entry["line"]
            assert entry["flags"] in ("NC", "UH"), entry["line"]

    # ── an ADS server that sends rubbish ──
    client.stop_proxy()
    net.stop_agent()
    for kind in ("closes", "silence", "random", "http1", "grpc-length", "protobuf", "unknown-type", "bad-resource"):
        with cases(f"an ADS server that sends rubbish ({kind}): said in the log, nothing breaks, and a good one is taken at once"):
            server = net.node.start([lab.PYTHON, lab.REPO / "tests/netns/rubbish_ads.py", net.agent_socket, kind], f"rubbish-{kind}.log")
            lab.wait_for(lambda: "listens" in net.log(f"rubbish-{kind}.log"), 10, "the rubbish server")
            seen = len(net.log("client.proxy.log"))
            empty = net.run_dir / "state" / f"rubbish-{kind}"
            empty.mkdir(mode=0o700)
            os.chown(empty, lab.PROXY_UID, lab.PROXY_UID)
            if client.proxy:  # left by a case that failed
                client.stop_proxy(signal.SIGKILL)
            proxy = client.start_proxy("--state-dir", empty, "--config-wait", "1s", wait=False)
            lab.wait_for(lambda: "connection" in net.log(f"rubbish-{kind}.log"), 10, "the proxy to ask")
            if kind != "silence":
                lab.wait_for(lambda: re.search(r"(?im)\b(warn|warning|error)\b", net.log("client.proxy.log")[seen:]), 10, "the proxy to complain")
                first = next(line for line in net.log("client.proxy.log")[seen:].splitlines() if re.search(r"(?i)\b(warn|warning|error)\b", line))
                golden(f"ads-{kind}", first)
            assert proxy.poll() is None and not client.admin("/ready").startswith("LIVE")
            assert client.curl(reviews, timeout=5).status == 0
            assert len(net.log("client.proxy.log")[seen:].splitlines()) < 60, "the log is flooded"
            server.kill()
            server.wait()
            os.unlink(net.agent_socket)
            net.start_agent()
            client.wait_ready(40)
            assert client.curl(reviews).status in (200, 503)
            client.stop_proxy(signal.SIGKILL)
            net.stop_agent()

    cases.finish()
