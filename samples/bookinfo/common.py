# SPDX-License-Identifier: Apache-2.0
"""What all Bookinfo programs share: an HTTP/1.1 server on both IP families, and calls that pass tracing headers on.

A program is a function `answer(request) -> Response`, served by `serve(9080, answer)`. Standard library only.

Two request headers make any of the programs misbehave on purpose, so that timeouts and retries can be shown:
    sample-delay: 0.8    the answer comes 0.8 s late
    sample-fail: 2       the first two tries of one x-request-id get 503
"""
import http.client
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("VERSION", "v1")
NAME = os.environ.get("POD_NAME", socket.gethostname())

# A proxy sees single requests; only the program knows which of its calls belongs to which request it got.
PASSED_ON = ("x-request-id", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
             "traceparent", "tracestate", "end-user", "sample-delay-ratings", "sample-fail-ratings")


@dataclass
class Request:
    method: str
    path: str  # without the query
    query: str
    headers: http.client.HTTPMessage
    body: bytes
    peer: str

    def passed_on(self):
        """Headers for the calls that this request causes. sample-*-ratings becomes sample-* on the call to ratings."""
        return {name: self.headers[name] for name in PASSED_ON if name in self.headers}


@dataclass
class Response:
    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    content_type: str = "application/json"


def json_response(value, status=200):
    return Response(json.dumps(value).encode() + b"\n", status)


def call(host, path, headers, timeout=10.0, port=9080):
    """GET http://host:port/path; returns (status, parsed JSON or None). A failure to connect is status 0."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, None
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


class _Failures:
    """How often a request id was seen, for sample-fail; forgets the oldest."""

    def __init__(self):
        self.seen, self.lock = {}, threading.Lock()

    def next(self, request_id):
        with self.lock:
            self.seen[request_id] = self.seen.get(request_id, 0) + 1
            if len(self.seen) > 10_000:
                self.seen.pop(next(iter(self.seen)))
            return self.seen[request_id]


def serve(port, answer):
    """Serves for ever on [::]:port, which takes IPv4 too; on 0.0.0.0 where the machine has no IPv6."""
    failures = _Failures()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 3600
        disable_nagle_algorithm = True
        wbufsize = 65536  # header and body leave in one write

        def handle_expect_100(self):
            super().handle_expect_100()
            self.wfile.flush()
            return True

        def handle_request(self):
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length) if length else b""
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, query, self.headers, body, self.client_address[0])
            if "sample-delay" in self.headers:
                time.sleep(float(self.headers["sample-delay"]))
            if path == "/health":
                response = json_response({"status": "healthy"})
            elif failures_wanted(self.headers, failures):
                response = json_response({"error": "fails on purpose (sample-fail)"}, 503)
            else:
                response = answer(request)
            self.send_response(response.status)
            self.send_header("content-type", response.content_type)
            self.send_header("content-length", str(len(response.body)))
            self.send_header("x-served-by", f"{NAME} {VERSION}")
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_request

        def log_message(self, form, *args):
            print(f"{self.client_address[0]} {form % args}", flush=True)

    listen(port, Handler).serve_forever()


def failures_wanted(headers, failures):
    wanted = int(headers.get("sample-fail") or 0)
    return wanted > 0 and failures.next(headers.get("x-request-id", "")) <= wanted


def listen(port, handler):
    """A threading HTTP server on both families."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

        def server_bind(self):
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = NAME, port

        def handle_error(self, request, client_address):
            pass  # a client that went away is no news

    try:
        Server.address_family = socket.AF_INET6
        return Server(("::", port), handler)
    except OSError:
        Server.address_family = socket.AF_INET
        return Server(("0.0.0.0", port), handler)


def main(answer, port=9080):
    print(f"{NAME} {VERSION} listens on {port}", flush=True)
    try:
        serve(port, answer)
    except KeyboardInterrupt:
        pass
