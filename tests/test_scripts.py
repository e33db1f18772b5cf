#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scripts that judge others must be able to fail: check-rooms on a small tree with one break of each kind, count-tests on a log."""
import json
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
TABLE = """# Architecture

| # | room | may use | the only room that touches |
|---|---|---|---|
| 1 | `base` | | spdlog |
| 2 | `kernel` | base | setns, setsockopt |
| 2 | `http` | base | nghttp2 |
| 3 | `io` | base, kernel | boost/asio |
| 3 | `proxy` | base, io, http | |
| 7 | `tests` | all | |
"""
passed = failed = 0


def case(sentence, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok     ' if good else 'FAILED '} {sentence}{'' if good else f': {detail}'}")


def check_rooms(files):
    """Runs check-rooms on a tree with these files; returns (exit code, output)."""
    with tempfile.TemporaryDirectory() as top:
        tree = {"ARCHITECTURE.md": TABLE, "meson.build": "subdir('base')\nsubdir('kernel')\nsubdir('http')\nsubdir('io')\nsubdir('proxy')\n", **files}
        for name, text in tree.items():
            path = pathlib.Path(top, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run(["git", "-C", top, "init", "-q"], check=True)
        done = subprocess.run([sys.executable, "-B", TOP / "scripts/check-rooms", top], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


SOUND = {"http/a.h": '#include "base/ip.h"\n', "io/a.cpp": '#include <boost/asio.hpp>\n#include "kernel/socket.h"\n', "proxy/a.cpp": '// setns() in words\n#include "http/a.h"\nconst char* s = "kernel/";\n'}
code, text = check_rooms(SOUND)
case("a sound tree passes", code == 0, text)

BREAKS = {
    "an include from a room that is not allowed": ("http/b.cpp", '\n#include "io/a.h"\n', "http/b.cpp:2: room http includes from room io"),
    "an include from a room above": ("base/b.h", '#include "http/a.h"\n', "base/b.h:1: room base includes from room http"),
    "an include around the table by a relative path": ("http/b.cpp", '#include "../io/a.h"\n', "http/b.cpp:1: includes by a relative path"),
    "a library in the wrong room": ("proxy/b.cpp", "#include <boost/asio/ip/tcp.hpp>\n", "proxy/b.cpp:1: room proxy touches boost/asio"),
    "a call in the wrong room": ("proxy/b.cpp", "void f() {\n  ::setsockopt(1, 2, 3, nullptr, 0);\n}\n", "proxy/b.cpp:2: room proxy touches setsockopt"),
    "a link to a room that is not allowed": ("http/meson.build", "x = library('x', dependencies: [base_dep, io_dep])\n", "http/meson.build:1: room http links room io"),
    "CLI11 in a header": ("proxy/b.h", "#include <CLI/CLI.hpp>\n", "proxy/b.h:1: includes CLI11"),
    "rooms entered in another order": ("meson.build", "subdir('kernel')\nsubdir('base')\n", "meson.build: enters kernel, base"),
    "a word that check-rooms does not know": ("ARCHITECTURE.md", TABLE.replace("nghttp2", "nghttp9"), "touches 'nghttp9'"),
    "a table that allows a room below": ("ARCHITECTURE.md", TABLE.replace("`kernel` | base", "`kernel` | base, io"), "room kernel may use 'io', which stands below it"),
}
for what, (name, content, expected) in BREAKS.items():
    code, text = check_rooms({**SOUND, name: content})
    case(f"{what} is found", code == 1 and expected in text, text)

LOG = [
    {"name": "a", "result": "OK", "duration": 1, "stdout": "[doctest] test cases:  3 |  3 passed | 0 failed | 0 skipped\n"},
    {"name": "b", "result": "FAIL", "duration": 1, "stdout": "ok x\nFAILED y\n4 passed, 1 failed\n"},
    {"name": "c", "result": "FAIL", "duration": 1, "stdout": "died\n"},
    {"name": "d", "result": "SKIP", "duration": 1, "stdout": "skipped: no\n"},
    {"name": "e", "result": "TIMEOUT", "duration": 1, "stdout": "[doctest] test cases: 2 | 2 passed | 0 failed\n"},
]
with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
    log.write("".join(json.dumps(entry) + "\n" for entry in LOG))
    log.flush()
    done = subprocess.run([sys.executable, "-B", TOP / "scripts/count-tests", log.name], capture_output=True, text=True)
case("passed, failed and skipped cases are counted; a crash and a timeout are failures", done.stdout.split() == ["9", "3", "1"], done.stdout)
case("what is not fine is named", all(word in done.stderr for word in ("FAIL: b", "FAIL: c", "SKIPPED: d", "TIMEOUT: e")), done.stderr)

print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
