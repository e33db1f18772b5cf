#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile HTTP/1 at both hops: testdata/hostile/*.txt says what is sent, what comes back, and what the server behind may see.

    client (raw sockets) ── weir-proxy 15001 ── recorder in pod "plain"            what the outbound side makes of it
    outside (raw sockets) ── 15006 weir-proxy ── recorder in pod "meshed"          … and the inbound side

The rows of one hop run one after the other, each followed by a good request, which must be served; the hops run at the same time.
"""
import pathlib
import re
import sys
import threading

import hostile
import lab

lab.enter()

DATA = lab.REPO / "tests/netns/testdata/hostile"
PORT = 8000
ONLY = sys.argv[1] if len(sys.argv) > 1 else ""  # a part of a row's name


class Hop:
    def __init__(self, name, space, address, recorder, pod):
        self.name, self.space, self.address, self.recorder, self.pod = name, space, address, recorder, pod
        self.results, self.marks = {}, 0

    def dial(self):
        connection = self.space.connect(self.address, PORT, hostile.LIMIT)
        connection.setsockopt(hostile.socket.IPPROTO_TCP, hostile.socket.TCP_NODELAY, 1)
        return connection

    def good(self, path):
        with self.dial() as connection:
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n" % path.encode())
            reader = hostile.Reader(connection)
            answer = hostile.read_answer(reader, True)
            assert answer and answer.status == "200" and answer.body == b"ok" and not answer.cut, f"the good request after it got {answer}"

    def run(self, rows):
        for number, row in enumerate(rows):
            self.results[row.name] = result = {}
            try:
                self.recorder.script = row.script
                self.recorder.answered.clear()
                self.recorder.done.clear()
                row.send = row.send if row.send is not None else b"GET /script HTTP/1.1\r\nHost: target\r\n\r\n"
                if "raw" in row.how and self.name == "outbound":
                    hostile.run_raw(row, self.dial, self.recorder, lab.wait_for)
                elif "cuts" in row.how:
                    result["answers"], result["end"] = hostile.run_cuts(row, self.dial, lambda: self.good("/between"))
                else:
                    result["answers"], result["end"] = hostile.run_row(row, self.dial, self.recorder, lab.wait_for)
                self.recorder.answered.set()
                if "wait" in row.script:
                    assert self.recorder.done.wait(hostile.LIMIT)
                self.good(f"/after/{number}")
                result["seen"] = self.recorder.take(f"/after/{number}")
                result["junk"], self.recorder.junk = self.recorder.junk, []
            except Exception as error:  # told where the row is judged
                result["error"] = error

    def log_lines(self, number):
        """The proxy's log lines of a row: those between the marks before and behind it."""
        lines = (self.pod.lab.logs / f"{self.pod.name}.access.log").read_text(errors="replace").splitlines()
        marks = {int(m.group(1)): at for at, line in enumerate(lines) if (m := re.search(r'"GET /after/(\d+) ', line))}
        return lines[marks.get(number - 1, -1) + 1:marks[number]]


def check_answers(row, result, lines):
    got = [a.status + (" cut" if a.cut else "") for a in result["answers"]]
    wanted = [re.sub(r"^(\S+).*?( cut)?$", r"\1\2", text) for text in row.answers]
    assert (got, result["end"]) == (wanted, row.end), f"answers {got}, then {result['end']}; expected {wanted}, then {row.end}\nlog: {lines}"
    for text in row.answers:
        words = [word for word in text.split()[1:] if word != "cut"]
        if words:
            pattern = rf'" {text.split()[0]} ' + (r"\S+ " if not words[0].isupper() and words[0] != "-" else "") + " ".join(map(re.escape, words)) + " "
            assert any(re.search(pattern, line) for line in lines), f"no log line with '{text}', but {lines}"


def check_seen(row, result):
    cuts = len(row.send) - 1 if "cuts" in row.how else 1
    seen = [r for r in result["seen"] if not re.search(r" /(kept|between) ", r.line)]
    lab.wait_for(lambda: [r.cut for r in seen] == [w.cut for w in row.seen] * cuts, 2,
                 f"the server to see {[w.line for w in row.seen]}; it saw {[(r.line, r.cut) for r in seen]}")
    assert not result["junk"], f"the server got what is no request: {result['junk']}"
    for request, wanted in zip(seen, row.seen * cuts):
        assert request.line == wanted.line, f"the server saw '{request.line}', expected '{wanted.line}'"
        right = wanted.body.startswith(request.body) if wanted.cut else request.body == wanted.body
        assert right, f"the server saw the body {request.body[:200]!r}, expected {wanted.body[:200]!r}"
        names = {name.lower() for name, _ in request.fields}
        for text in wanted.fields:
            if text.startswith("!"):
                assert text[1:] not in names, f"the server saw {text[1:]}: {request.fields}"
            else:
                name, value = text.split(": ", 1) if ": " in text else (text.rstrip(":"), "")
                values = [v for n, v in request.fields if n.lower() == name]
                assert values == [hostile.unescape(value).decode("latin-1")], f"{name}: {values}, expected {value!r}"


with lab.Lab(platform=DATA / "platform") as net:
    cases = lab.Cases(net)
    client, plain, meshed = net["client"], net["plain"], net["meshed"]
    net.set_rules(wait=False)
    net.start_agent()
    for pod in (client, meshed):
        pod.enrol()
        pod.start_proxy(wait=False)
    for pod in (client, meshed):
        pod.wait_ready()
    hops = [Hop("outbound", client, "10.96.0.40", hostile.Recorder(plain, PORT), client),
            Hop("inbound", net.outside, meshed.ip4, hostile.Recorder(meshed, PORT), meshed)]
    rows = hostile.read_table(DATA / "requests.txt") + hostile.read_table(DATA / "responses.txt")
    rows = [row for row in rows if ONLY in row.name]
    assert len({row.name for row in rows}) == len(rows), "two rows of one name"
    threads = [threading.Thread(target=hop.run, args=(rows,)) for hop in hops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for hop in hops:
        last = max((n for n, row in enumerate(rows) if "error" not in hop.results[row.name]), default=-1)
        if last >= 0:
            lab.wait_for(lambda: f"GET /after/{last} " in net.log(f"{hop.pod.name}.access.log"), 5, "the log's last line")

    for number, row in enumerate(rows):
        with cases(f"{row.name}"):
            for hop in hops:
                result = hop.results[row.name]
                try:
                    if "error" in result:
                        raise result["error"]
                    if "answers" in result:
                        check_answers(row, result, hop.log_lines(number))
                        check_seen(row, result)
                except AssertionError as error:
                    raise AssertionError(f"{hop.name}: {error}") from None

    with cases("the proxies are the ones that were started: none died on the way"):
        assert client.proxy.poll() is None and meshed.proxy.poll() is None

    cases.finish()
