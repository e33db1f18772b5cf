#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""echo: tells what arrived, and answers in every way that HTTP/1 knows. PORT says where (default 8000).

    any path             JSON: method, path, query, headers as they came (name, value), body length, peer address
    /status/418          that status
    /bytes/100000        so many bytes
    /chunked/5           five chunks and a trailer, by transfer-encoding
    /slow/3/0.2          three chunks, 0.2 s apart
    /close               an answer without a length: the end of the connection is its end
    /upgrade             101 for an upgrade to websocket, then bytes go back as they came
    /early               answers 413 before it has read the body, and closes
    /hang                never answers
    /reset               closes the connection without an answer
"""
import json
import os
import time
from http.server import BaseHTTPRequestHandler

from common import NAME, VERSION, listen

PORT = int(os.environ.get("PORT", "8000"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 3600
    disable_nagle_algorithm = True
    wbufsize = 65536

    def handle_expect_100(self):
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def read_body(self):
        """The body and the trailers' lines, chunked or by length."""
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(self.headers.get("content-length") or 0)), []
        body, trailers = b"", []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while (line := self.rfile.readline().strip()) != b"":
            trailers.append(line.decode())
        return body, trailers

    def start(self, status, *headers):
        self.send_response(status)
        self.send_header("x-served-by", f"{NAME} {VERSION}")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def chunks(self, count, pause=0.0):
        self.start(200, ("transfer-encoding", "chunked"), ("trailer", "x-last"))
        for number in range(count):
            data = f"chunk {number}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(b"0\r\nx-last: done\r\n\r\n")

    def handle_request(self):
        path, _, query = self.path.partition("?")
        words = path.strip("/").split("/")
        if words[0] == "early":
            self.start(413, ("content-length", "0"), ("connection", "close"))
            self.close_connection = True
            return
        if words[0] == "reset":
            self.close_connection = True
            return
        if words[0] == "hang":
            self.rfile.read()  # until the other side gives up
            self.close_connection = True
            return
        if words[0] == "upgrade" and self.headers.get("upgrade") == "websocket":
            self.start(101, ("connection", "upgrade"), ("upgrade", "websocket"))
            self.wfile.flush()
            while data := self.rfile.read1(65536):
                self.wfile.write(data)
                self.wfile.flush()
            self.close_connection = True
            return
        body, trailers = self.read_body()
        if words[0] == "chunked":
            return self.chunks(int(words[1]))
        if words[0] == "slow":
            return self.chunks(int(words[1]), float(words[2]))
        if words[0] == "bytes":
            size = int(words[1])
            self.start(200, ("content-length", str(size)))
            self.wfile.write(b"x" * size)
            return
        if words[0] == "close":
            self.start(200, ("connection", "close"))
            self.wfile.write(b"until the end\n")
            self.close_connection = True
            return
        status = int(words[1]) if words[0] == "status" else 200
        seen = {"service": "echo", "version": VERSION, "pod": NAME, "method": self.command, "path": path, "query": query, "protocol": self.request_version,
                "headers": [[name, value] for name, value in self.headers.items()], "body-length": len(body), "trailers": trailers,
                "peer": self.client_address[0]}
        text = json.dumps(seen).encode() + b"\n"
        self.start(status, ("content-type", "application/json"), ("content-length", str(len(text))))
        if self.command != "HEAD":
            self.wfile.write(text)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.handle_request
        raise AttributeError(name)

    def log_message(self, form, *args):
        print(f"{self.client_address[0]} {form % args}", flush=True)


if __name__ == "__main__":
    print(f"{NAME} {VERSION} listens on {PORT}", flush=True)
    listen(PORT, Handler).serve_forever()
