#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy killed, the way to the agent cut, and state directories in trouble: full, read-only, another's, damaged.

    client (100 requests a second) ── weir-proxy ──── weir-proxy ── echo.py     agent (uid 1000) on a unix socket and 10.244.1.1:15010
                                          │ --state-dir on a tmpfs of 64 KiB       │ --state-dir on another
"""
import signal
import time

import lab
import traffic

lab.enter()


class Disk:
    """A tiny file system over a directory, as one space sees it."""

    def __init__(self, space, path, uid):
        self.space, self.path, self.uid = space, path, uid
        path.mkdir(parents=True, exist_ok=True)
        space.sh(f"mount -t tmpfs -o size=64k,mode=0700,uid={uid},gid={uid} tiny {path}")

    def sh(self, script):
        return self.space.run(["sh", "-c", script])

    def fill(self):
        self.sh(f"cat /dev/zero > {self.path}/filler")
        assert "100%" in self.sh(f"df {self.path}").stdout

    def free(self):
        self.sh(f"rm {self.path}/filler")

    def remount(self, how):
        assert self.sh(f"mount -o remount,{how} {self.path}").returncode == 0

    def owner(self, uid):
        self.sh(f"chown {uid}:{uid} {self.path}")


with lab.Lab(platform=traffic.PLATFORM, pods=["client", *traffic.SERVERS]) as net:
    cases = lab.Cases(net)
    world = traffic.World(net)
    client = world.client
    tcp = f"{lab.NODE4}:15010"
    world.start()

    # ── the proxy ──

    with cases("the proxy killed under load: all fails, nothing slips past; back again, all succeeds"):
        client.stop_proxy(signal.SIGKILL)
        dead = time.monotonic()
        lab.wait_for(lambda: sum(sent > dead for sent, _ in world.failures) > 20, 10, "requests to fail")
        assert world.last_good_sent < dead, "a request succeeded without the proxy"
        client.start_proxy()
        world.settled()
        with world.unharmed():
            world.recovers()

    with cases("enrolled anew with a start gate: connections wait for the proxy, none fails"):
        client.stop_proxy(signal.SIGKILL)
        client.release()
        client.enrol(gate="hold:30s")
        lab.wait_for(lambda: client.run(["ss", "-tnH", "state", "syn-sent"]).stdout.strip(), 10, "connections to wait")
        held = time.monotonic()
        client.start_proxy()
        world.settled()
        fresh = [text for sent, text in world.failures if sent > held and "on use 0 of" in text]
        assert not fresh, fresh
        with world.unharmed():
            world.recovers()

    # ── the way to the agent ──

    with cases("cut off from the agent: traffic goes on; joined again, what changed counts"):
        world.stop_agent()
        world.start_agent("--listen", tcp, "--allow-plaintext")
        client.stop_proxy(signal.SIGKILL)
        client.start_proxy(agent=tcp)
        world.settled()
        with world.unharmed():
            world.recovers()
            net.node.sh("nft -f - <<'E'\ntable inet partition {\n chain in { type filter hook input priority -10; tcp dport 15010 drop; }\n"
                        " chain out { type filter hook output priority -10; tcp sport 15010 drop; }\n}\nE")
            world.keeps()
            mark = world.switch()
            before = world.answers
            lab.wait_for(lambda: world.answers > before + 100, 10, "a hundred requests while cut off")
            assert mark not in world.marks.values()
            joined = time.time()
            net.node.sh("nft delete table inet partition")
            world.wait_mark(mark)

    with cases("the proxy started anew while cut off: it serves with the last good configuration, and takes up the agent later"):
        world.saved(net.run_dir / "state/client/last-good.xds", joined)
        net.node.sh("nft -f - <<'E'\ntable inet partition {\n chain in { type filter hook input priority -10; tcp dport 15010 drop; }\n}\nE")
        client.stop_proxy(signal.SIGKILL)
        client.start_proxy(agent=tcp)
        world.settled()
        with world.unharmed():
            world.keeps()
            net.node.sh("nft delete table inet partition")
            world.recovers()

    # ── the proxy's state directory ──

    client.stop_proxy(signal.SIGKILL)
    disk = Disk(client, net.run_dir / "state/client", lab.PROXY_UID)
    disk.fill()
    said = world.log_from("client.proxy.log")
    client.start_proxy()
    world.settled()

    with cases("the proxy's disk is full: said with what it means, traffic goes on; with room again it saves"), world.unharmed():
        said(r"error weir-proxy: last good configuration not saved: \S+ing \S+last-good\.xds\.new: No space left on device; what serves is not touched, "
             r"but a restart while the agent is away would find the one saved before")
        world.recovers()
        disk.free()
        said("info weir-proxy: last good configuration saved again in ")
        world.recovers()

    with cases("the proxy's disk becomes read-only, then another's: each is said once, then it saves again"), world.unharmed():
        said = world.log_from("client.proxy.log")
        disk.remount("ro")
        world.recovers()
        said("not saved: .*Read-only file system")
        disk.remount("rw")
        disk.owner(0)
        said("not saved: .*Permission denied", 20)
        disk.owner(lab.PROXY_UID)
        said("saved again in ", 20)
        assert said.text().count("not saved") == 2, said.text()
        world.recovers()

    with cases("the proxy starts with a directory of another's: said with the remedy, it serves, and saves once that is mended"):
        client.stop_proxy(signal.SIGKILL)
        disk.owner(0)
        said = world.log_from("client.proxy.log")
        client.start_proxy()
        world.settled()
        with world.unharmed():
            said(r"not saved: state directory \S+ belongs to uid 0, this program runs as uid 1337; chown it; .* would find none")
            world.recovers()
            disk.owner(lab.PROXY_UID)
            said("saved again in ", 20)
            world.recovers()

    for what, damage, words in (("damaged", "printf rubbish > {0}", "not a stored xDS set"), ("cut short", "head -c 1000 {0} > {0}.x && cat {0}.x > {0}", "damaged or cut short"),
                                ("empty", ": > {0}", "not a stored xDS set"), ("a directory", "rm {0} && mkdir {0}", "Is a directory")):
        with cases(f"the proxy's saved configuration is {what}: said and ignored, the agent's serves"):
            lab.wait_for(lambda: int(disk.sh(f"stat -c %s {disk.path}/last-good.xds").stdout or 0) > 1000, 15, "the configuration to be saved")
            client.stop_proxy(signal.SIGKILL)
            world.stop_agent()
            assert disk.sh(damage.format(disk.path / "last-good.xds")).returncode == 0
            said = world.log_from("client.proxy.log")
            proxy = client.start_proxy(wait=False)
            said(f"warning weir-proxy: last good configuration ignored, waiting for the agent's: .*{words}")
            assert proxy.poll() is None and not client.admin("/ready").startswith("LIVE")
            world.start_agent()
            client.wait_ready(40)
            disk.sh(f"rmdir {disk.path}/last-good.xds")
            world.settled()
            with world.unharmed():
                world.recovers(40)

    # ── the agent's state directory ──

    state = world.agent_state / "last-good.rules"
    world.stop_agent()
    state.unlink()
    state.parent.rmdir()
    disk = Disk(net.node, world.agent_state, lab.APP_UID)
    world.start_agent()

    with cases("a rule is broken, and the agent starts anew: its last good form goes on counting"), world.unharmed():
        world.recovers(40)
        lab.wait_for(lambda: f'x-rules: "{world.count}"'.encode() in disk.space.run(["cat", state], errors="replace").stdout.encode(), 10, "the rules to be saved")
        said = world.log_from("agent.log")
        for text in ("kind: VirtualService\nspec: [\n", traffic.rules_text("v1", "broken").replace("route:", "rout:")):
            net.put(net.rules_dir / "rules.yaml", text)
            said(r"error weir-agent: \S+rules\.yaml")
            world.stop_agent()
            said = world.log_from("agent.log")
            world.start_agent()
            said(r"info weir-agent: last good rules loaded from \S+: \d+ objects; they count for what is broken now")
            said(r"error weir-agent: \S+rules\.yaml")
            said("client.* connected", 40)
            world.keeps()
        world.recovers(40)

    for what, damage, words in (("damaged", "printf rubbish > {0}", "not a file of stored rules"), ("cut short", "head -c 1000 {0} > {0}.x && cat {0}.x > {0}", "damaged or cut short")):
        with cases(f"the agent's saved rules are {what}: said and ignored, never fatal"), world.unharmed():
            lab.wait_for(lambda: disk.sh(f"test -s {state}").returncode == 0, 10, "the rules to be saved")
            world.stop_agent()
            disk.sh(damage.format(state))
            said = world.log_from("agent.log")
            world.start_agent()
            said(rf"warning weir-agent: last good rules in \S+ ignored, the rules directory alone counts: .*{words}")
            world.recovers(40)

    with cases("the agent's disk is full, read-only, another's: each is said once, rules go on changing, then it saves again"), world.unharmed():
        said = world.log_from("agent.log")
        disk.fill()
        world.recovers(40)
        said(r"error weir-agent: last good rules not saved: .*No space left on device; serving goes on, but a rule that is broken when the agent starts again would find the form saved before")
        disk.free()
        disk.remount("ro")
        said("not saved: .*Read-only file system", 20)
        disk.remount("rw")
        world.stop_agent()
        disk.owner(0)
        world.start_agent()
        said(r"not saved: state directory \S+ belongs to uid 0, this program runs as uid 1000; chown it; .* would find no last good form")
        disk.owner(lab.APP_UID)
        said("last good rules saved again in ", 20)
        world.recovers(40)

    cases.finish()
