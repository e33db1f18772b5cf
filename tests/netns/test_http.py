#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 through both proxies, end to end: what the client sends arrives, what the server answers comes back.

    client (curl, raw sockets) ── weir-proxy 15001 ──── 15006 weir-proxy ── echo.py :8000      both pods captured
"""
import json
import re
import socket
import time

import lab

lab.enter()


def exchange(pod, data, limit=10, until=None, address="echo", port=8000):
    """Sends bytes on a fresh connection; returns all that came back until the end (or until `until` is in it)."""
    with pod.connect(address, port, limit) as connection:
        connection.sendall(data)
        got = b""
        while not (until and until in got):
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            got += piece
        return got


def memory(process):
    """Resident kB of a process."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


with lab.Lab(pods=["client", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client, echo = net["client"], net["echo-v1"]
    net.start_all()
    big = net.run_dir / "big"

    for family in (4, 6):
        with cases(f"GET arrives with its headers, and the server sees the inbound source address (IPv{family})"):
            # By the pod's own address: a service's name would lead to its first address, which is the IPv4 one.
            host = echo.ip4 if family == 4 else f"[{echo.ip6}]"
            answer = client.curl(f"http://{host}:8000/a?b=c", headers={"X-Mixed-Case": "Kept As Is"}, family=family)
            seen = answer.json
            assert answer.status == 200 and (seen["path"], seen["query"]) == ("/a", "b=c"), answer
            assert ["X-Mixed-Case", "Kept As Is"] in seen["headers"], seen["headers"]
            assert ["x-request-id", answer.request_id] in seen["headers"], seen["headers"]
            assert seen["peer"].removeprefix("::ffff:") == ("127.0.0.6" if family == 4 else "::6"), seen["peer"]

        with cases(f"a service's address leads to it, and both proxies log the request, each from its side (IPv{family})"):
            answer = client.curl("http://echo:8000/a?b=c", family=family)
            assert answer.status == 200 and answer.version == "v1", answer
            out, into = client.log_of(answer.request_id)[0], echo.log_of(answer.request_id)[0]
            assert out["cluster"] == "outbound|8000||echo.default.svc.cluster.local" and into["cluster"] == "inbound|8000||", (out["line"], into["line"])

    with cases("headers keep their order and their spelling"):
        raw = exchange(client, b"GET / HTTP/1.1\r\nhOsT: echo\r\nZ-Last: 1\r\nA-First: 2\r\nz-last: 3\r\nConnection: close\r\n\r\n")
        names = [name for name, _ in json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]]
        ours = [name for name in names if name.lower() in ("z-last", "a-first")]
        assert ours == ["Z-Last", "A-First", "z-last"], names

    with cases("a chunked answer arrives with its trailer"):
        raw = exchange(client, b"GET /chunked/3 HTTP/1.1\r\nHost: echo\r\nTE: trailers\r\nConnection: close\r\n\r\n")
        assert b"chunk 0\n" in raw and b"chunk 2\n" in raw and re.search(rb"\r\n0\r\n(?i:x-last): done\r\n\r\n$", raw), raw[-200:]
        assert client.curl("http://echo:8000/chunked/5").body.startswith("".join(f"chunk {n}\n" for n in range(5)))

    with cases("a chunked request arrives with its trailer"):
        raw = exchange(client, b"POST / HTTP/1.1\r\nHost: echo\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n"
                               b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-sum: 11\r\n\r\n")
        seen = json.loads(raw.partition(b"\r\n\r\n")[2])
        assert seen["body-length"] == 11 and seen["trailers"] == ["x-sum: 11"], seen

    with cases("Expect: 100-continue gets its 100, then the answer"):
        raw = exchange(client, b"POST / HTTP/1.1\r\nHost: echo\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", until=b"\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 100 "), raw
        big.write_bytes(b"x" * 2_000_000)
        answer = client.curl("http://echo:8000/", "--data-binary", f"@{big}", headers={"Expect": "100-continue"})
        assert answer.status == 200 and answer.json["body-length"] == 2_000_000, answer

    with cases("an upgrade becomes a tunnel both ways"):
        with client.connect("echo", 8000) as connection:
            connection.sendall(b"GET /upgrade HTTP/1.1\r\nHost: echo\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            head = connection.recv(4096)
            assert head.startswith(b"HTTP/1.1 101 "), head
            for text in (b"ping", b"\x00\xff\r\n\r\nGET"):
                connection.sendall(text)
                assert connection.recv(4096) == text

    with cases("an upgrade that the route does not allow: 403"):
        assert exchange(client, b"GET /upgrade HTTP/1.1\r\nHost: echo\r\nConnection: upgrade, close\r\nUpgrade: telnet\r\n\r\n", until=b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")

    with cases("two requests use one connection (keep-alive)"):
        done = client.run(["curl", "-sS", "-4", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", "http://echo:8000/1", "http://echo:8000/2"], uid=1000)
        assert done.stdout.split("\n")[:2] == ["200 1", "200 0"], done

    with cases("pipelined requests are answered in order"):
        raw = exchange(client, b"".join(b"GET /%d HTTP/1.1\r\nHost: echo\r\n%s\r\n" % (n, b"Connection: close\r\n" if n == 5 else b"") for n in range(1, 6)))
        assert re.findall(rb'"path": "/(\d)"', raw) == [b"1", b"2", b"3", b"4", b"5"], raw

    with cases("HTTP/1.0 is answered, and the connection ends"):
        raw = exchange(client, b"GET /old HTTP/1.0\r\nHost: echo\r\n\r\n")
        assert re.match(rb"HTTP/1\.[01] 200 ", raw) and b'"path": "/old"' in raw, raw
        assert client.curl("http://echo:8000/", "--http1.0").status == 200

    with cases("HEAD has no body, and the connection goes on"):
        raw = exchange(client, b"HEAD / HTTP/1.1\r\nHost: echo\r\n\r\nGET /next HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n")
        assert raw.count(b"HTTP/1.1 200") == 2 and raw.count(b'"path"') == 1 and b'"/next"' in raw, raw

    with cases("an answer without a length ends with its connection"):
        assert client.curl("http://echo:8000/close").body == "until the end\n"

    with cases("20 MB come through whole, both ways"):
        done = client.run(["curl", "-sS", "-4", "-o", "/dev/null", "-w", "%{size_download}", "http://echo:8000/bytes/20000000"], uid=1000)
        assert done.stdout == "20000000", done
        big.write_bytes(b"y" * 20_000_000)
        assert client.curl("http://echo:8000/", "--data-binary", f"@{big}").json["body-length"] == 20_000_000

    with cases("what the server sends piece by piece is not held back"):
        with client.connect("echo", 8000) as connection:
            connection.sendall(b"GET /slow/3/0.5 HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n")
            got = b""
            while b"chunk 0" not in got:
                got += connection.recv(4096)
            first = time.monotonic()
            while b"x-last: done" not in got:
                got += connection.recv(4096)
            assert time.monotonic() - first > 0.5, "the first chunk came together with the last"

    with cases("an early answer reaches a client that is still sending"):
        answer = client.curl("http://echo:8000/early", "--data-binary", f"@{big}")
        assert answer.status == 413, answer

    with cases("a server that closes without an answer: 503 UC at its proxy, 503 at the client"):
        answer = client.curl("http://echo:8000/reset")
        assert answer.status == 503 and answer.body.startswith("upstream connect error or disconnect/reset before headers. reset reason: connection termination"), answer
        assert "UC" in echo.log_of(answer.request_id)[0]["flags"], echo.log_of(answer.request_id)[0]["line"]

    bad = {
        "two different lengths": b"POST / HTTP/1.1\r\nHost: echo\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "length and transfer-encoding": b"POST / HTTP/1.1\r\nHost: echo\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a transfer-encoding after chunked": b"POST / HTTP/1.1\r\nHost: echo\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "two Hosts": b"GET / HTTP/1.1\r\nHost: echo\r\nHost: other\r\n\r\n",
        "no Host": b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
        "a space before the colon": b"GET / HTTP/1.1\r\nHost: echo\r\nX-A : 1\r\n\r\n",
        "a folded header": b"GET / HTTP/1.1\r\nHost: echo\r\nX-A: 1\r\n  2\r\n\r\n",
        "a NUL in a header": b"GET / HTTP/1.1\r\nHost: echo\r\nX-A: a\0b\r\n\r\n",
        "a negative chunk": b"POST / HTTP/1.1\r\nHost: echo\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    }
    for what, request in bad.items():
        with cases(f"{what}: 400, and the connection ends"):
            raw = exchange(client, request)
            assert raw.startswith(b"HTTP/1.1 400 "), raw

    with cases("a transfer-encoding that nobody knows: 501, and the connection ends (RFC 9112 6.1)"):
        raw = exchange(client, b"POST / HTTP/1.1\r\nHost: echo\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 501 "), raw

    with cases("half a request: the server never sees it, and the proxy goes on"):
        with client.connect("echo", 8000) as connection:
            connection.sendall(b"GET /half-a-request HTTP/1.1\r\nHost: ec")
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
        assert client.curl("http://echo:8000/whole").status == 200
        assert "half-a-request" not in net.log("echo-v1.http.log")

    with cases("half a body: the server's connection ends too, and the proxy goes on"):
        with client.connect("echo", 8000) as connection:
            connection.sendall(b"POST /half-a-body HTTP/1.1\r\nHost: echo\r\nContent-Length: 100\r\n\r\nhello")
        assert client.curl("http://echo:8000/whole").status == 200

    with cases("a header of 1 GB: 431 after some kilobytes, and the proxy's memory stays bounded"):
        before = memory(client.proxy)
        sent, got = 0, b""
        with client.connect("echo", 8000) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\nX-Big: ")
            block = b"a" * 1_000_000
            try:
                while sent < 1_000_000_000:
                    sent += connection.send(block)
            except OSError:
                pass
            try:
                got = connection.recv(4096)
            except OSError:
                pass
        assert sent < 100_000_000, f"{sent} bytes of a header were taken"
        assert got == b"" or got.startswith(b"HTTP/1.1 431 "), got
        assert memory(client.proxy) - before < 20_000, f"from {before} to {memory(client.proxy)} kB"
        raw = exchange(client, b"GET / HTTP/1.1\r\nHost: echo\r\nX-Big: " + b"a" * 70_000 + b"\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 431 "), raw[:100]

    with cases("the proxies are the ones that were started: none died on the way"):
        assert client.proxy.poll() is None and echo.proxy.poll() is None

    cases.finish()
