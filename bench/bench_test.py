#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The benchmark's own programs: right answers count, wrong ones void the run, and the table takes its ratios inside a round.

    load ── floor ── backend        load ── a server that answers wrongly        argv: load, backend, floor
"""
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report  # noqa: E402

LOAD, BACKEND, FLOOR = sys.argv[1:4]
LIMIT = 20
passed = 0
children = []


def case(name):
    global passed
    passed += 1
    print(f"ok {passed} - {name}", flush=True)


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def start(port, *argv):
    children.append(subprocess.Popen(argv))
    end = time.monotonic() + LIMIT
    while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
        assert children[-1].poll() is None and time.monotonic() < end, f"{argv} does not listen"
        time.sleep(0.01)


def load(kind, port, *flags):
    done = subprocess.run([LOAD, kind, f"127.0.0.1:{port}", "--requests", "40", "--connections", "4", "--limit", str(LIMIT), *flags], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def server(answer):
    """Answers whatever comes with the same bytes, then closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)
    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_loads():
    http, tcp, floor_http, floor_tcp = free_ports(4)
    start(tcp, BACKEND, f"127.0.0.1:{http}", f"127.0.0.1:{tcp}")
    start(floor_http, FLOOR, f"127.0.0.1:{floor_http}", f"127.0.0.1:{http}")
    start(floor_tcp, FLOOR, f"127.0.0.1:{floor_tcp}", f"127.0.0.1:{tcp}")
    shapes = [(), ("--close", "1"), ("--bytes", "131072"), ("--bytes", "5000000", "--requests", "8"), ("--warm", "10", "--cpu-of", str(children[0].pid))]
    for kind, direct, through in (("http", http, floor_http), ("tcp", tcp, floor_tcp)):
        for shape in shapes:
            for port in (direct, through):
                code, got = load(kind, port, *shape)
                assert code == 0 and got["requests"] in (40, 8), (kind, shape, got)
        case(f"{kind}: every shape of load is answered rightly, directly and through the floor")
    code, got = load("http", floor_http, "--rate", "1000")
    assert code == 0 and got["p99_us"] >= got["p50_us"] > 0, got
    case("an open loop sends what is due and gives latencies")


def test_wrong_answers():
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"
    for kind, answer, why in [
        ("http", b"HTTP/1.1 503 Unavailable\r\nContent-Length: 64\r\n\r\n" + b"x" * 64, "status is HTTP/1.1 503 Unavailable"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 63\r\n\r\n" + b"x" * 63, "Content-Length is not 64"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 64, "Content-Length is not 64"),
        ("http", good + b"x" * 63, "the connection ended after 63 bytes of the answer"),
        ("http", good + b"x" * 65, "more bytes than announced"),
        ("http", b"", "the connection ended after 0 bytes of the answer"),
        ("tcp", b"y" * 64, "the answer is to another message"),
        ("tcp", b"", "the connection ended after 0 bytes of the answer"),
    ]:
        code, got = load(kind, server(answer), "--connections", "1", "--requests", "1")
        assert code == 1 and got == {"void": why}, (answer, got)
    case("a wrong status, length or message, and an early end, void the run and say why")


def test_table():
    samples = report.Samples()
    for round_, (weir, haproxy) in enumerate([(10, 10), (40, 20), (12, 10)]):  # the second round was a busy one
        samples.add("r", "work", "CPU µs", "weir", round_, weir)
        samples.add("r", "work", "CPU µs", "HAProxy", round_, haproxy)
    samples.fail("r", "work", "CPU µs", "nginx", "bytes after the answer")
    table = report.markdown(samples, {"Envoy": "not installed"}, ["weir-proxy 1"], "bench/run", 3)
    assert "| work | CPU µs | **1.20** (1.00–2.00) 12.0 | **1.00** (1.00–1.00) 10.0 | void: bytes after the answer | not here | – |" in table, table
    case("ratios are taken inside a round, and a void or missing candidate says so")
    with tempfile.TemporaryDirectory() as directory:
        page = pathlib.Path(directory) / "page.md"
        page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
        report.update(page, "new\n")
        assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    case("--update replaces what stands between the markers and nothing else")


try:
    test_loads()
    test_wrong_answers()
    test_table()
finally:
    for child in children:
        child.kill()
        child.wait()
print(f"{passed} passed, 0 failed")
