#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live enrolment and un-enrolment: rules come and go under connections that talk, and no byte is lost; new ones are captured or
direct as the last verb said, which the server tells by who called it.

    client: caller (uid 1000) ─ 15001 weir-proxy ─┐            ┌─ echo 7100 ─ outside
            echo 7200 ───────── 15006 weir-proxy ─┴── eth0 ────┴─ caller ──── outside

    test_live.py [--connections N=60] [--cycles N=3] [--backend NAME]      N connections at a time, on each backend
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess

import lab

lab.enter()
parser = argparse.ArgumentParser()
parser.add_argument("--connections", type=int, default=60)
parser.add_argument("--cycles", type=int, default=3)
parser.add_argument("--backend", action="append")
asked = parser.parse_args()
BACKENDS = asked.backend or ["nft", "iptables-nft", "iptables-legacy"]
FLAGS = ["-p", "15001", "-z", "15006", "-u", "1337", "-b", "*", "-i", "*", "-d", "15090,15021,15020"]
OTHER_FLAGS = ["-p", "15001", "-z", "15006", "-u", "1337", "-b", "7200", "-i", "203.0.113.0/24,2001:db8::/32", "-x", "192.0.2.0/24"]
PROGRAM = "long_lived.py"


class Caller:
    """A process with connections; see long_lived.py."""

    def __init__(self, net, space, uid, to):
        self.to = to
        argv = space.nsenter() + lab.as_user(uid) + [lab.PYTHON, "-B", str(net.src / "tests/netns" / PROGRAM), "call"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.program = PROGRAM
        net.processes.append(self.process)

    def start(self, do, **more):
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())


with lab.Lab(pods=["client"]) as net:
    cases = lab.Cases(net)
    pod, outside = net["client"], net.outside
    net.set_rules(wait=False)
    net.start_agent()
    for space, port in ((outside, 7100), (pod, 7200)):
        space.start([lab.PYTHON, "-B", net.src / "tests/netns" / PROGRAM, "serve", port], f"{space.name}.echo.log", uid=lab.APP_UID)
    pod.start_proxy()
    for space, port in ((outside, 7100), (pod, 7200)):
        lab.wait_for(lambda space=space: "listening" in net.log(f"{space.name}.echo.log"), 20, f"the echo server of {space.name}")
    callers = [Caller(net, pod, lab.APP_UID, [[lab.OUTSIDE4, 7100], [lab.OUTSIDE6, 7100]]),
               Caller(net, outside, lab.APP_UID, [[pod.ip4, 7200], [pod.ip6, 7200]])]

    def both(do, **more):
        """One command to both callers at the same time."""
        for caller in callers:
            caller.start(do, **more, **({"to": caller.to} if do == "open" else {}))
        return [caller.answer() for caller in callers]

    def opens(group, count, expected):
        """Opens `count` connections in all, which must all be captured or all direct."""
        each = max(count // 2, 4)
        for answer in both("open", group=group, count=each):
            assert answer == {"direct": 0, "captured": 0, "failed": [], expected: each}, f"{group}, expected {expected}: {answer}"

    def talks(when, group=None):
        for answer in both("talk", group=group):
            assert answer["bad"] == 0 and answer["good"] > 0, f"{when}: {answer}"

    def closes(group):
        for answer in both("close", group=group):
            assert answer["bad"] == 0 and answer["closed"] > 0, f"closing {group}: {answer}"

    def weir(*argv, exit_code=0):
        done = pod.run([net.program("weir-init"), *argv])
        assert done.returncode == exit_code, f"weir-init {' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def draining(backend, flags=FLAGS):
        """What check says while a drain stands."""
        said = json.loads(weir("check", f"--backend={backend}", "-o", "json", *flags, exit_code=126))
        assert "draining" in said, said
        return said["draining"]

    def left():
        """What of weir stands in the pod, as other tools see it."""
        found = pod.sh("nft list ruleset 2>/dev/null | grep -i weir || true; ip -6 addr show dev lo | grep -w ::6/128 || true; "
                       "for program in iptables-legacy ip6tables-legacy; do $program-save 2>/dev/null | grep WEIR || true; done").stdout
        return found.strip()

    def watchers():
        """Processes that watch a drain."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    pid, _, rest = (entry / "stat").read_text().partition(" (weir-drain) ")
                    if rest and rest[0] not in "ZX":  # its parent is this very program, which has no eye for it
                        found.append(int(pid))
                except OSError:
                    pass
        return found

    total, cycles = asked.connections, asked.cycles
    for backend in BACKENDS:
        by = f"--backend={backend}"

        with cases(f"{backend}: {total} connections live through {cycles} times apply and remove --live; new ones are captured, then direct"):
            opens("older than the rules", total // 2, "direct")
            for cycle in range(cycles):
                # Without --live too: apply is harmless in any case.
                weir("apply", by, *(["--live"] if cycle % 2 == 0 else []), *FLAGS)
                assert "the rules are what these flags ask" in weir("check", by, *FLAGS)
                if cycle == 0:
                    opens("of the first enrolment", total * 3 // 10, "captured")
                opens(f"captured {cycle}", total // 10, "captured")
                talks(f"cycle {cycle}, enrolled")
                said = weir("remove", "--live", by)
                assert said.startswith("draining: new connections are direct, "), said
                opens(f"direct {cycle}", total // 10, "direct")
                talks(f"cycle {cycle}, un-enrolled")
                state = draining(backend)
                assert state["watched"] and state["connections"] >= total * 3 // 10 and 3500 < state["seconds_left"] <= 3600, state
                if cycle:
                    closes(f"captured {cycle - 1}")
                    closes(f"direct {cycle - 1}")

        with cases(f"{backend}: a second remove --live changes nothing"):
            assert json.loads(weir("remove", "--live", by, "-o", "json"))["changed"] is False
            talks("after a second remove --live")

        with cases(f"{backend}: changing settings resets nothing"):
            weir("apply", "--live", by, *FLAGS)
            for flags in (OTHER_FLAGS, FLAGS, OTHER_FLAGS):
                weir("apply", "--live", by, *flags)
                talks("after other settings")
            opens("of other settings", 8, "captured")
            weir("remove", "--live", by)
            talks("after remove --live")

        with cases(f"{backend}: the watch killed: captured connections go on, check names it, the next remove --live heals it"):
            state = draining(backend)
            for pid in watchers():
                os.kill(pid, signal.SIGKILL)
            lab.wait_for(lambda: not draining(backend)["watched"], 10, "check to see that nobody watches")
            talks("without a watch")
            assert "nobody watches" in weir("check", by, *FLAGS, exit_code=126)
            weir("remove", "--live", by)
            assert draining(backend)["watched"]

        with cases(f"{backend}: the drain ends with the last captured connection, and leaves nothing; direct ones go on"):
            for group in ("of the first enrolment", f"captured {cycles - 1}", "of other settings"):
                assert left(), "ended too early"
                closes(group)
            lab.wait_for(lambda: not left(), 30, "the drain to end")
            lab.wait_for(lambda: not watchers(), 10, "the watch to end")
            talks("after the drain")
            assert weir("remove", "--live", by) == "nothing to do: no rules of weir are there\n"
            opens("after the drain", 8, "direct")

        with cases(f"{backend}: at --drain-timeout it ends with connections open; plain remove ends it at once"):
            for how in (["--drain-timeout=1s", "--wait"], ["--drain-timeout=1h"]):
                weir("apply", by, *FLAGS)
                opens("to be cut", 8, "captured")
                said = weir("remove", "--live", by, *how)
                if "--wait" in how:
                    assert said == "removed\n", said
                else:
                    assert draining(backend)["connections"] == 8
                    assert weir("remove", by) == "removed\n"
                assert left() == "", left()
                for answer in both("close", group="to be cut"):
                    assert answer["bad"] == answer["closed"] == 4, f"without what serves them they must break: {answer}"
            lab.wait_for(lambda: not watchers(), 10, "the watch to end")
            talks("at the end")

        with cases(f"{backend}: mode TPROXY leaves older connections alone too; it cannot be left live"):
            weir("apply", "--live", by, "-m", "TPROXY", *FLAGS)
            talks("in mode TPROXY")
            weir("remove", "--live", by, exit_code=2)
            assert "the rules are what these flags ask" in weir("check", by, "-m", "TPROXY", *FLAGS)
            weir("remove", by)
            talks("after mode TPROXY")

        for group in ("older than the rules", f"direct {cycles - 1}", "after the drain"):
            with cases(f"{backend}: connections {group} close in order"):
                closes(group)

    with cases("the proxy has not died"):
        assert pod.proxy.poll() is None
    cases.finish()
