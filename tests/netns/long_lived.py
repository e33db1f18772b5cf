#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Long-lived connections that remember every byte, and tell who came.

    long_lived.py serve PORT    on both families: the first line of a connection is answered with who called, all else comes back
    long_lived.py call          holds connections; commands come as JSON lines on standard input, each is answered by one

Every second connection of a caller chats all the time, the others speak only when told: they are silent while rules change.
"""
import json
import random
import selectors
import socket
import sys
import time

LIMIT = 30.0  # seconds that a command may take


def serve(port):
    wake = selectors.DefaultSelector()
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(1024)
        wake.register(listener, selectors.EVENT_READ, None)
    print("listening", flush=True)
    while True:
        for key, _ in wake.select():
            if key.data is None:
                connection, peer = key.fileobj.accept()
                wake.register(connection, selectors.EVENT_READ, {"peer": f"{peer[0]} {peer[1]}\n".encode()})
                continue
            try:
                data = key.fileobj.recv(65536)
                if data and key.data["peer"]:
                    line, found, rest = data.partition(b"\n")
                    assert line == b"who" and found, data
                    data, key.data["peer"] = key.data["peer"] + rest, None
                if data:
                    key.fileobj.sendall(data)
            except OSError as error:
                print(f"{key.fileobj}: {error}", flush=True)
                data = b""
            if not data:
                wake.unregister(key.fileobj)
                key.fileobj.close()


class Line:
    """One connection: what was sent and has not come back yet; the first thing that went wrong."""

    def __init__(self, group, lively, address):
        self.group, self.lively, self.address = group, lively, address
        self.owed, self.who, self.error, self.ended, self.told_end = bytearray(), b"", "", False, False
        self.next = 0.0
        self.socket = socket.create_connection(tuple(address), timeout=LIMIT)
        self.socket.settimeout(LIMIT)
        self.socket.sendall(b"who\n")

    def fail(self, what):
        self.error = self.error or f"{self.group} to {self.address}: {what}"

    def say(self, size):
        data = random.randbytes(size)
        self.owed += data
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.fail(f"sending: {error}")

    def read(self):
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            self.fail(f"receiving: {error}")
            data = b""
        if not data:
            self.ended = True
            if not self.told_end or self.owed:
                self.fail(f"ended with {len(self.owed)} bytes owed")
        if not self.who.endswith(b"\n"):
            line, found, data = data.partition(b"\n")
            self.who += line + found
        if bytes(self.owed[:len(data)]) != data:
            self.fail("other bytes came back than were sent")
        del self.owed[:len(data)]

    def is_direct(self):
        """Did the server see this very socket, or somebody who calls for it?"""
        host, port = self.who.decode().split()
        own = self.socket.getsockname()
        return (host, int(port)) == (own[0], own[1])


class Caller:
    def __init__(self):
        self.wake = selectors.DefaultSelector()
        self.lines = []
        self.wake.register(sys.stdin, selectors.EVENT_READ, None)

    def open(self, group, count, to):
        opened, failed = [], []
        for number in range(count):
            try:
                line = Line(group, number // len(to) % 2 == 0, to[number % len(to)])
            except OSError as error:
                failed.append(f"{group} to {to[number % len(to)]}: {error}")
                continue
            self.lines.append(line)
            opened.append(line)
            self.wake.register(line.socket, selectors.EVENT_READ, line)
        self.turn(lambda: all(line.who.endswith(b"\n") or line.ended for line in opened))
        known = [line for line in opened if line.who.endswith(b"\n")]
        failed += [line.error or f"{group} to {line.address}: no word" for line in opened if line not in known]
        direct = sum(line.is_direct() for line in known)
        return {"direct": direct, "captured": len(known) - direct, "failed": failed[:5]}

    def talk(self, group=None):
        for line in self.lines:
            if group in (None, line.group) and not line.error:
                line.say(random.randint(1, 3000))
        spoken = [line for line in self.lines if group in (None, line.group)]
        self.turn(lambda: not any(line.owed and not line.error for line in spoken))
        bad = [line.error or f"{line.group} to {line.address}: {len(line.owed)} bytes owed" for line in spoken if line.error or line.owed]
        return {"good": len(spoken) - len(bad), "bad": len(bad), "first": bad[:5]}

    def close(self, group):
        lines = [line for line in self.lines if line.group == group]
        for line in lines:
            line.lively = False
        self.turn(lambda: not any(line.owed and not line.error for line in lines))
        for line in lines:
            line.told_end = True
            try:
                line.socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                line.fail(f"closing: {error}")
        self.turn(lambda: all(line.ended or line.error for line in lines))
        for line in lines:
            if not line.ended:
                line.fail("did not end")
                self.wake.unregister(line.socket)
            line.socket.close()
        self.lines = [line for line in self.lines if line.group != group]
        bad = [line.error for line in lines if line.error]
        return {"closed": len(lines), "bad": len(bad), "first": bad[:5]}

    def turn(self, done, limit=LIMIT):
        """Lets all connections live until `done`."""
        end = time.monotonic() + limit
        while not done() and time.monotonic() < end:
            self.once(commands=False)

    def once(self, commands):
        is_told = False
        for key, _ in self.wake.select(0.05):
            if key.data is None:
                is_told = commands
                continue
            key.data.read()
            if key.data.ended:
                self.wake.unregister(key.data.socket)
        now = time.monotonic()
        for line in self.lines:
            if line.lively and not line.owed and not line.error and line.who and now >= line.next:
                line.say(random.randint(1, 600))
                line.next = now + random.uniform(0.1, 1.0)
        if is_told:  # last, since it reads from the connections too
            self.command()

    def command(self):
        text = sys.stdin.readline()
        if not text:
            sys.exit(0)
        asked = json.loads(text)
        print(json.dumps(getattr(self, asked.pop("do"))(**asked)), flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    caller = Caller()
    while True:
        caller.once(commands=True)
