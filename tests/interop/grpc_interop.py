#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our gRPC against another implementation (grpcio), both ways round, on loopback: grpc_interop.py GRPC_PEER.

Skipped (77) where python3 has no grpcio: `python3 -m venv V && V/bin/pip install grpcio`, then run it with V/bin/python.
"""
import subprocess
import sys
from concurrent import futures

try:
    import grpc
except ImportError:
    print("skipped: no grpcio")
    sys.exit(77)

LIMIT = 30  # seconds, for anything


def check(what, got, wanted):
    if got != wanted:
        print(f"FAILED {what}: got {got!r}, wanted {wanted!r}")
        sys.exit(1)
    print(f"ok {what}")


def talk(messages, context):
    for message in messages:
        if message == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: é 100%")
        yield message


def client_of_ours(peer):
    """Our client calls grpcio's server."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    handlers = {"Talk": grpc.stream_stream_rpc_method_handler(talk)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def call(path):
        done = subprocess.run([peer, "call", str(port), path], capture_output=True, text=True, timeout=LIMIT)
        return done.returncode, done.stdout.splitlines()

    check("client: messages and OK", call("/test.Echo/Talk"), (0, ["message of 3", "message of 300000", "OK"]))
    check("client: status with a message", call("/test.Echo/Talkfail"), (0, ["message of 3", "NOT_FOUND: no such thing: é 100%"]))
    code, lines = call("/test.Echo/Nothing")
    check("client: unknown method", (code, [line.split(":")[0] for line in lines]), (0, ["UNIMPLEMENTED"]))
    server.stop(None)


def server_of_ours(peer):
    """grpcio's client calls our server."""
    with subprocess.Popen([peer, "serve"], stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.stream_stream("/test.Echo/Talk")
            sent = [b"one", b"x" * 300_000, b""]
            check("server: messages", list(method(iter(sent), timeout=LIMIT)), sent)
            try:
                list(method(iter([b"fail"]), timeout=LIMIT))
                check("server: status", "OK", "NOT_FOUND")
            except grpc.RpcError as error:
                check("server: status", (error.code().name, error.details()), ("NOT_FOUND", "no such thing: é 100%"))
            try:
                channel.unary_unary("/test.Echo/Nothing")(b"", timeout=LIMIT)
                check("server: unknown method", "OK", "UNIMPLEMENTED")
            except grpc.RpcError as error:
                check("server: unknown method", error.code().name, "UNIMPLEMENTED")
            unary = channel.unary_unary("/test.Echo/Talk")
            check("server: a unary call", unary(b"hello", timeout=LIMIT), b"hello")
            compressed = channel.stream_stream("/test.Echo/Talk")
            try:
                list(compressed(iter([b"y" * 5000]), timeout=LIMIT, compression=grpc.Compression.Gzip))
                check("server: compressed", "OK", "UNIMPLEMENTED")
            except grpc.RpcError as error:
                check("server: compressed", error.code().name, "UNIMPLEMENTED")
        check("server: ends with its client", process.wait(timeout=LIMIT), 0)


client_of_ours(sys.argv[1])
server_of_ours(sys.argv[1])
