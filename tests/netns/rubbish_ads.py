#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ADS server that misbehaves: rubbish_ads.py SOCKET KIND. HTTP/2 and gRPC by hand, as little of them as needed.

    closes         closes each connection at once
    silence        accepts and says nothing
    random         random bytes
    http1          an HTTP/1.1 answer
    grpc-length    a gRPC message that claims 4 GB
    protobuf       a gRPC message that is no DiscoveryResponse
    unknown-type   a DiscoveryResponse of a type that nobody asked for
    bad-resource   a DiscoveryResponse of clusters whose one resource is no Cluster
"""
import os
import random
import socket
import sys
import threading

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def grpc(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def field(number, payload):
    """A length-delimited protobuf field."""
    size, length = len(payload), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def response(type_url, *resources):
    return field(1, b"1") + b"".join(field(2, field(1, type_url.encode()) + field(2, value)) for value in resources) + field(4, type_url.encode()) + field(5, b"nonce-1")


JUNK = random.Random(7).randbytes(64)
MESSAGES = {
    "grpc-length": b"\0\xff\xff\xff\xff",
    "protobuf": grpc(b"\xff" * 40),
    "unknown-type": grpc(response("type.googleapis.com/nobody.knows.This", b"")),
    "bad-resource": grpc(response(CLUSTER, b"\xff" * 40)),
}


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def speak_http2(connection, message):
    connection.sendall(frame(4, 0, 0))
    data = b""
    while not data.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        data += connection.recv(65536)
    data = data[24:]
    while True:
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            size, kind, flags, stream = int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big")
            data = data[9 + size:]
            if kind == 4 and not flags & 1:
                connection.sendall(frame(4, 1, 0))
            if kind == 1:  # HEADERS: the request stream
                connection.sendall(frame(1, 4, stream, b"\x88" + literal(b"content-type", b"application/grpc")) + frame(0, 0, stream, message))
        more = connection.recv(65536)
        if not more:
            return
        data += more


def talk(connection, kind):
    try:
        if kind in MESSAGES:
            speak_http2(connection, MESSAGES[kind])
        elif kind == "random":
            connection.recv(65536)
            connection.sendall(JUNK * 4)
            while connection.recv(65536):  # the other side ends it
                pass
        elif kind == "http1":
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            connection.recv(65536)
        elif kind == "silence":
            while connection.recv(65536):
                pass
    except OSError:
        pass
    connection.close()


def main(path, kind):
    with socket.socket(socket.AF_UNIX) as server:
        if os.path.exists(path):
            os.unlink(path)
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(16)
        print("listens", flush=True)
        while True:
            connection, _ = server.accept()
            print("connection", flush=True)
            threading.Thread(target=talk, args=(connection, kind), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
