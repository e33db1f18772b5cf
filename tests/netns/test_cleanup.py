#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A lab that is killed by SIGKILL leaves no process, no network namespace and no mount.

    this program ── kills ──▶ test_lab.py (in its own namespaces)
"""
import glob
import os
import pathlib
import signal
import subprocess
import sys

import lab

if os.getuid() != 0:
    lab.skip("needs root, to make network namespaces")


def namespaces():
    found = set()
    for link in glob.glob("/proc/[0-9]*/ns/net"):
        try:
            found.add(os.readlink(link))
        except OSError:
            pass
    return found


def mounts():
    return sorted(line.split()[4] for line in open("/proc/self/mountinfo"))


cases = lab.Cases()
environment = {name: value for name, value in os.environ.items() if name != "WEIR_LAB"}
before = namespaces(), mounts()
with cases("killed while its pods run, the lab leaves no namespace and no mount"):
    child = subprocess.Popen([sys.executable, "-B", str(pathlib.Path(__file__).with_name("test_lab.py"))], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    while not (line := child.stdout.readline()).startswith("ok"):
        assert line, "the lab ended before its first case"
    during = namespaces()
    assert len(during - before[0]) >= 5, "the lab's namespaces should be visible while it runs"
    child.send_signal(signal.SIGKILL)
    child.wait()
    lab.wait_for(lambda: not namespaces() & (during - before[0]), 10, "the namespaces to go")
    assert mounts() == before[1]
cases.finish()
