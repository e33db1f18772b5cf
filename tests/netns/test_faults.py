#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent and its rules in trouble: traffic goes on with the last good configuration, the log says what happened, and when the
trouble is over a changed rule counts.

    client (100 requests a second) ── weir-proxy ──── weir-proxy ── echo.py         no request may fail in any of the cases
                                        └── agent killed, frozen, flapping, cut off, slow, rubbish; its directory gone, broken …
"""
import os
import pathlib
import signal
import time

import lab
import traffic

lab.enter()

with lab.Lab(platform=traffic.PLATFORM, pods=["client", *traffic.SERVERS]) as net:
    cases = lab.Cases(net)
    world = traffic.World(net)
    client = world.client
    world.start()

    # ── the agent ──

    with cases("the agent killed: traffic goes on; what changed while it was away counts when it is back"), world.unharmed():
        said = world.log_from("client.proxy.log")
        world.stop_agent(signal.SIGKILL)
        said(r"agent unix:\S+: the agent closed the connection; what serves stays, trying again")
        mark = world.switch()
        world.start_agent()
        world.wait_mark(mark)
        said(r"agent unix:\S+: connected, and it answers")

    with cases("the agent leaves in order: said by both, traffic goes on"), world.unharmed():
        said, left = world.log_from("client.proxy.log"), world.log_from("agent.log")
        world.stop_agent(signal.SIGTERM)
        left("leaving; proxies keep their last good configuration")
        said(r"agent unix:\S+: .*the agent is leaving.*; what serves stays, trying again")
        world.start_agent()
        world.recovers()

    with cases("the agent frozen: traffic goes on; thawed, it does what it missed"), world.unharmed():
        net.agent.send_signal(signal.SIGSTOP)
        mark = world.switch()
        before = world.answers
        lab.wait_for(lambda: world.answers > before + 100, 10, "a hundred requests without an agent")
        assert mark not in world.marks.values()
        net.agent.send_signal(signal.SIGCONT)
        world.wait_mark(mark)

    with cases("the agent flaps, and rules change meanwhile: traffic goes on, and the last rule counts"), world.unharmed():
        said = world.log_from("client.proxy.log")
        for _ in range(5):
            mark = world.switch()
            world.stop_agent(signal.SIGKILL)
            world.start_agent()
        world.wait_mark(mark)
        assert len(said.text().splitlines()) < 40, f"the log is flooded:\n{said.text()}"

    for kind, words in {"random": "does not speak gRPC as it should", "bad-resource": "[Cc]luster", "protobuf": "the agent sent what is no answer"}.items():
        with cases(f"an agent that sends rubbish ({kind}): said, and what serves stays"), world.unharmed():
            said = world.log_from("client.proxy.log")
            world.stop_agent(signal.SIGKILL)
            rubbish = net.node.start([lab.PYTHON, lab.REPO / "tests/netns/rubbish_ads.py", net.agent_socket, kind], f"rubbish-{kind}.log")
            said(rf"(?m)(warning|error) weir-proxy: .*{words}", 20)
            rubbish.kill()
            rubbish.wait()
            world.start_agent()
            world.recovers(40)
            assert len(said.text().splitlines()) < 60, f"the log is flooded:\n{said.text()}"

    with cases("an agent whose bytes come in drops: traffic goes on, and the rule counts once it has come"), world.unharmed():
        world.stop_agent(signal.SIGKILL)
        behind = world.agent_dir / "behind.sock"
        world.start_agent(socket=behind)
        relay = net.node.start([lab.PYTHON, lab.REPO / "tests/netns/slow_relay.py", net.agent_socket, behind, "300", "0.02"], "slow_relay.log")
        lab.wait_for(lambda: "connection" in net.log("slow_relay.log"), 30, "a proxy at the slow agent")
        world.recovers(40)
        relay.kill()
        relay.wait()
        world.stop_agent(signal.SIGKILL)
        world.start_agent()
        world.recovers(40)

    # ── rules ──

    good = net.rules_dir / "rules.yaml"

    with cases("the rules directory goes away and comes back: said, nothing changes, and then rules count again"), world.unharmed():
        said = world.log_from("agent.log")
        net.rules_dir.rename(net.rules_dir.with_name("elsewhere"))
        said(r"cannot read the rules directory \S+: No such file or directory.*; the last good rules stay")
        world.keeps()
        net.rules_dir.with_name("elsewhere").rename(net.rules_dir)
        said(r"the rules directory \S+ is there again")
        world.recovers()

    with cases("a file that may not be read: said with the reason, its rules stay, others go on"), world.unharmed():
        said = world.log_from("agent.log")
        os.chmod(good, 0)
        said(r"error weir-agent: \S+rules\.yaml: cannot read \S+rules\.yaml: Permission denied")
        net.put(net.rules_dir / "more.yaml", traffic.rules_text("v9", "no").replace("store", "stall"))
        said(r"more\.yaml")
        world.keeps()
        os.chmod(good, 0o644)
        said(r"mended: .*Permission denied")
        (net.rules_dir / "more.yaml").unlink()
        world.recovers()

    with cases("a link that leads nowhere, a link to itself, a pipe instead of the file: said, its rules stay"), world.unharmed():
        text, strange = good.read_text(), net.rules_dir / ".strange"
        for make, words in ((lambda: strange.symlink_to("nowhere"), "No such file or directory"), (lambda: strange.symlink_to(good), "Too many levels of symbolic links"),
                            (lambda: os.mkfifo(strange), "is not a regular file")):
            said = world.log_from("agent.log")
            make()
            strange.replace(good)
            said(words)
            world.keeps(10)
            net.put(good, text)
            said("mended: ")
        world.recovers()

    with cases("a huge file: said with the limit, its rules stay, others go on"), world.unharmed():
        said = world.log_from("agent.log")
        net.put(good, good.read_text() + "#" + "x" * (9 << 20) + "\n")
        said(r"rules\.yaml.* is larger than 8 MiB; split it")
        world.keeps()
        world.recovers()

    with cases("a file written in pieces: half of it never counts"), world.unharmed():
        mark = world.switch(save=lambda text: None)
        text = traffic.rules_text(("v1", "v2")[world.count % 2], mark)
        half = text.index("---\n")  # so far it is a sound file, and store6 is not in it
        with open(good, "w") as file:
            for piece in (text[:half], text[half:half + 60], text[half + 60:]):
                file.write(piece)
                file.flush()
                before = world.answers
                lab.wait_for(lambda: world.answers > before + 10, 5, "requests")
                assert None not in world.marks.values() and mark not in world.marks.values(), world.marks
        world.wait_mark(mark)

    with cases("a ConfigMap's links: a whole new set of files by one rename"), world.unharmed():
        world.stop_agent(signal.SIGKILL)
        mounted = net.run_dir / "configmap"

        def publish(text, name):
            """As the kubelet does: a new directory, a link to it, and the link renamed over ..data."""
            fresh = mounted / name
            fresh.mkdir()
            for file in net.rules_dir.glob("*.yaml"):
                (fresh / file.name).write_text(file.read_text())
            (fresh / "rules.yaml").write_text(text)
            (mounted / "..data_tmp").symlink_to(name)
            (mounted / "..data_tmp").rename(mounted / "..data")

        mounted.mkdir()
        world.wait_mark(str(world.count))
        mark = world.switch(save=lambda text: publish(text, "..2026_1"))
        for file in (mounted / "..data").iterdir():
            (mounted / file.name).symlink_to(f"..data/{file.name}")
        world.start_agent(rules=mounted)
        world.wait_mark(mark, 40)
        for number in range(2, 5):
            world.wait_mark(world.switch(save=lambda text: publish(text, f"..2026_{number}")))
        world.stop_agent(signal.SIGKILL)
        world.start_agent()
        world.recovers(40)

    cases.finish()
