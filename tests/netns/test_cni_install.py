#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weir-cni install and uninstall as processes: put in place, put back, killed anywhere, two of them.

    a directory      net.d/10-pods.conflist (bridge, portmap)     bin/bridge     ← weir-cni install

What the runtime would do is read with Python's json. No network namespace is needed.
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile

import lab

WEIR_CNI = pathlib.Path(os.environ.get("WEIR_BUILD", str(lab.REPO / "build")).split(":")[0]) / "cni-plugin/weir-cni"
if not WEIR_CNI.exists():
    lab.skip(f"{WEIR_CNI} is not built; run scripts/build")

THEIRS = {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0"}, {"type": "portmap", "capabilities": {"portMappings": True}}]}
KILLS = 40


class Node:
    def __init__(self, base):
        self.net, self.bin = base / "net.d", base / "bin"
        self.conf = self.net / "10-pods.conflist"
        for directory in (self.net, self.bin):
            directory.mkdir(parents=True)

    def others_write(self, text=json.dumps(THEIRS, indent=4)):
        """As their installers do: beside it, then over it."""
        (self.net / "theirs.tmp").write_text(text)
        (self.net / "theirs.tmp").rename(self.conf)

    def words(self, *words):
        return [str(WEIR_CNI), *words, f"--cni-net-dir={self.net}", f"--cni-bin-dir={self.bin}"]

    def run(self, *words):
        return subprocess.run(self.words(*words), capture_output=True, text=True, timeout=30)

    def start(self, *words):
        return subprocess.Popen(self.words("install", *words), stderr=subprocess.PIPE, text=True)

    def types(self):
        return [plugin["type"] for plugin in json.loads(self.conf.read_text())["plugins"]]

    def is_whole(self):
        return self.types() == ["bridge", "portmap", "weir-cni"] and (self.bin / "weir-cni").read_bytes() == WEIR_CNI.read_bytes()

    def files(self):
        return sorted(str(path.relative_to(self.net.parent)) for path in self.net.parent.rglob("*") if path.is_file())


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    process.wait(20)
    said = process.stderr.read()
    process.stderr.close()
    return said


cases = lab.Cases()
with tempfile.TemporaryDirectory(prefix="weir-cni-") as base:
    node = Node(pathlib.Path(base) / "a")
    with cases("it waits for the main configuration, then puts binary and entry in place"):
        agent = node.start()
        lab.wait_for((node.bin / "weir-cni").exists, 20, "the binary")
        assert not node.conf.exists() and node.run("install", "--check").returncode == 126
        node.others_write()
        lab.wait_for(node.is_whole, 20, "the entry")
        assert os.access(node.bin / "weir-cni", os.X_OK) and node.run("install", "--check").returncode == 0
    with cases("the installed binary is a plugin that answers"):
        done = subprocess.run([node.bin / "weir-cni"], env={"CNI_COMMAND": "VERSION"}, input='{"cniVersion": "1.0.0"}', capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and "1.1.0" in json.loads(done.stdout)["supportedVersions"], done
    with cases("what others write over it, and a binary that is removed, are put back"):
        node.others_write()
        lab.wait_for(node.is_whole, 20, "the entry again")
        (node.bin / "weir-cni").unlink()
        lab.wait_for(lambda: (node.bin / "weir-cni").exists() and node.is_whole(), 20, "the binary again")
    with cases("a second installer waits, uninstall is refused, and neither changes anything"):
        second = node.start()
        assert "another weir-cni install keeps this node" in second.stderr.readline()
        done = node.run("uninstall")
        assert done.returncode == 2 and "end it first" in done.stderr, done
        assert node.is_whole()
    with cases("SIGTERM ends it and leaves all in place; the second takes over"):
        said = end(agent)
        assert agent.returncode == 0 and "waiting for a network configuration" in said, said
        assert node.is_whole()
        node.others_write()
        lab.wait_for(node.is_whole, 20, "the entry by the second")
        end(second)
    with cases("uninstall leaves what others wrote, byte for byte, and nothing else"):
        assert node.run("uninstall").returncode == 0
        assert node.conf.read_text() == json.dumps(THEIRS, indent=4) and node.files() == ["net.d/10-pods.conflist"], node.files()

    with cases(f"killed at {KILLS} random moments, while others write too: the runtime always finds a chain whose plugins are there, and the next run heals"):
        chance = random.Random(4711)
        node = Node(pathlib.Path(base) / "b")
        node.others_write()
        for turn in range(KILLS):
            words = ["install", "--once"] if turn % 4 else ["uninstall"]
            process = subprocess.Popen(node.words(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(chance.random() * 0.03)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
            types = node.types()
            assert types[:2] == ["bridge", "portmap"] and (len(types) == 2 or (node.bin / "weir-cni").exists()), (turn, types)
            if turn % 3 == 0:
                node.others_write()
        assert node.run("install", "--once").returncode == 0 and node.is_whole()
        assert node.files() == ["bin/weir-cni", "net.d/10-pods.conflist"], node.files()
        assert node.run("uninstall").returncode == 0 and node.files() == ["net.d/10-pods.conflist"], node.files()

cases.finish()
