# SPDX-License-Identifier: Apache-2.0
"""What test_hostile.py needs: the tables' format, a server that records every byte it sees, and a client that judges answers.

A table's row:

    == NAME                     the sentence
    @ WORD…                     how it is sent. half-close: then our writing side is closed; bytewise: byte by byte; cuts: once for each
                                place to cut it in two; head-first: the body only when the server has seen the head; head: the
                                answers have no body; raw: the outbound side takes it for another protocol than HTTP/1 and passes it on
                                byte for byte, as Istio does (what follows is for the inbound side then)
    > BYTES                     what the client sends, with CRLF at the end (none after a last \\). Escapes \\r \\n \\t \\v \\f \\0 \\\\ \\xHH,
                                and {70000*a} for many
    $ BYTES                     what the server behind answers to GET /script, likewise; "$! close" or "$! reset" ends its connection, "$! wait"
                                waits until the client has its answer
    < STATUS [FLAGS] [DETAIL] [cut]    an answer, in order; flags and detail are the proxy's log line's; cut: it ends too early
    < kept | closed             the connection behind the answers
    ^ REQUEST LINE [cut]        a request that the server behind saw; none: it saw nothing; cut: its body did not come whole
    ^ : NAME: VALUE | !NAME     … a header it had, or did not have
    ^ = BODY                    … its body, with escapes

Lines before the first row and those that begin with # are comments.
"""
import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field

LIMIT = 5.0  # seconds that any single wait may take; over it the row hangs
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Seen:
    """A request as it stands in a table, or as the server saw it."""

    line: str
    fields: list = field(default_factory=list)
    body: bytes = b""
    cut: bool = False


@dataclass
class Row:
    name: str
    line: int
    how: set = field(default_factory=set)
    send: bytes = None  # None: a GET for /script
    script: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    end: str = ""
    seen: list = field(default_factory=list)


def unescape(text):
    while (longer := re.sub(r"\{(\d+)\*((?:\\.|[^{}])+)\}", lambda m: m.group(2) * int(m.group(1)), text)) != text:
        text = longer
    plain = {"r": "\r", "n": "\n", "t": "\t", "v": "\v", "f": "\f", "0": "\0", "\\": "\\"}
    return re.sub(r"\\(?:x([0-9a-fA-F]{2})|(.))", lambda m: chr(int(m.group(1), 16)) if m.group(1) else plain[m.group(2)], text, flags=re.S).encode("latin-1")


def line_bytes(text):
    ends_open = re.search(r"(?<!\\)(?:\\\\)*\\$", text)
    return unescape(text[:-1]) if ends_open else unescape(text) + b"\r\n"


def read_table(path):
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if mark == "==":
            rows.append(Row(rest, number))
        elif not rows or not line.strip() or mark == "#":
            continue
        elif mark == "@":
            rows[-1].how |= set(rest.split())
        elif mark == ">":
            rows[-1].send = (rows[-1].send or b"") + line_bytes(rest)
        elif mark == "$" and rows[-1].script and isinstance(rows[-1].script[-1], bytes):
            rows[-1].script[-1] += line_bytes(rest)  # sent in one piece
        elif mark == "$":
            rows[-1].script.append(line_bytes(rest))
        elif mark == "$!":
            rows[-1].script.append(rest)
        elif mark == "<" and rest in ("kept", "closed"):
            rows[-1].end = rest
        elif mark == "<":
            rows[-1].answers.append(rest)
        elif mark == "^" and rest.startswith(": "):
            rows[-1].seen[-1].fields.append(rest[2:])
        elif mark == "^" and rest.startswith("= "):
            rows[-1].seen[-1].body = unescape(rest[2:])
        elif mark == "^":
            rows[-1].seen.append(Seen(unescape(rest.removesuffix(" cut")).decode("latin-1"), cut=rest.endswith(" cut")))
        else:
            raise ValueError(f"{path}:{number}: '{line}' is no line of a table")
    for row in rows:
        if not row.end:
            raise ValueError(f"{path}:{row.line}: '{row.name}' does not say '< kept' or '< closed'")
    return rows


# ── framing, as any careful reader does it ───────────────────────────────────────────────────────────────────────────


class Ended(Exception):
    """The connection is over."""


class Reader:
    def __init__(self, connection):
        self.connection, self.bytes, self.all = connection, b"", b""

    def more(self):
        try:
            piece = self.connection.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Ended
        self.bytes += piece
        self.all += piece

    def take(self, size):
        while len(self.bytes) < size:
            self.more()
        taken, self.bytes = self.bytes[:size], self.bytes[size:]
        return taken

    def until(self, end):
        while end not in self.bytes:
            self.more()
        taken, _, self.bytes = self.bytes.partition(end)
        return taken

    def head(self):
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        return first, [tuple(part.strip(" \t") for part in line.partition(":")[::2]) for line in lines]

    def body(self, fields, into):
        """Appends to `into` (an object with .body) as it comes, so that a cut body shows what there was."""
        if "chunked" in value_of(fields, "transfer-encoding", ""):
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                into.body += self.take(size)
                assert self.take(2) == b"\r\n"
            trailers = []
            while line := self.until(b"\r\n"):
                trailers.append(tuple(part.strip() for part in line.decode("latin-1").partition(":")[::2]))
            fields += trailers
            return
        left = int(value_of(fields, "content-length", "0"))
        while left:
            if not self.bytes:
                self.more()
            piece = self.take(min(left, len(self.bytes)))
            into.body += piece
            left -= len(piece)


def value_of(fields, name, default=None):
    return next((value for key, value in fields if key.lower() == name), default)


# ── the server behind ────────────────────────────────────────────────────────────────────────────────────────────────


class Recorder:
    """Answers every request with 200 "ok", those for /script as the table's row says, and keeps what it saw."""

    def __init__(self, space, port):
        self.seen, self.script, self.junk, self.lock = [], [], [], threading.Lock()
        self.whole = []  # all that came on a connection, once it has ended
        self.answered, self.done = threading.Event(), threading.Event()
        self.listener = space.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("0.0.0.0", port))
        self.listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        reader, request = Reader(connection), None
        try:
            with connection:
                while True:
                    request = None
                    line, fields = reader.head()
                    request = Seen(line, fields, cut=True)
                    with self.lock:
                        self.seen.append(request)
                    if value_of(fields, "expect"):
                        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    reader.body(fields, request)
                    request.cut = False
                    if not self._answer(connection, line):
                        return
        except Ended:
            if request is None and reader.bytes:
                self.junk.append(reader.bytes)
        except (OSError, ValueError, AssertionError) as error:
            if not isinstance(error, OSError):
                self.junk.append(repr(error).encode() + reader.bytes)
        finally:
            self.whole.append(reader.all)

    def _answer(self, connection, line):
        if "/script" not in line:
            head = GOOD[:-2] if line.startswith("HEAD ") else GOOD
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" if "/upgrade" in line else head)
            return True
        for piece in self.script:
            if piece == "wait":
                self.answered.wait(LIMIT)
            elif piece == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                break
            elif piece == "close":
                break
            else:
                with contextlib.suppress(OSError):  # the proxy may have had enough
                    connection.sendall(piece)
        self.done.set()
        return not {"reset", "close"} & set(self.script)

    def take(self, until):
        """All that was seen up to the request for `until`, which is taken away too."""
        with self.lock:
            at = next(i for i, request in enumerate(self.seen) if f" {until} " in request.line)
            taken, self.seen = self.seen[:at], self.seen[at + 1:]
        return taken


# ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Got:
    status: str
    fields: list = field(default_factory=list)
    body: bytes = b""
    cut: bool = True


def read_answer(reader, has_body):
    """One answer; None if the connection ended before it. 1xx count as answers."""
    try:
        line, fields = reader.head()
    except Ended:
        return None if not reader.bytes else Got("half a head")
    got = Got(line.split(" ")[1], fields)
    no_body = got.status[0] == "1" or got.status in ("204", "304") or not has_body
    framed = value_of(fields, "content-length") is not None or value_of(fields, "transfer-encoding") is not None
    try:
        if not no_body and framed:
            reader.body(fields, got)
        elif not no_body:
            while True:
                got.body += reader.bytes
                reader.bytes = b""
                reader.more()
        got.cut = False
    except Ended:
        got.cut = framed
    return got


def run_row(row, dial, recorder, wait_for):
    """Sends a row and returns (answers, how the connection ended)."""
    with dial() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused while we were sending: the answer is there
            rest = row.send
            if "head-first" in row.how:
                head, end, rest = row.send.partition(b"\r\n\r\n")
                connection.sendall(head + end)
                wait_for(lambda: recorder.seen, LIMIT, "the server to see the head")
            for piece in ([rest[at:at + 1] for at in range(len(rest))] if "bytewise" in row.how else [rest]):
                connection.sendall(piece)
            if "half-close" in row.how:
                connection.shutdown(socket.SHUT_WR)
        return judge(row, connection)


def run_raw(row, dial, recorder, wait_for):
    """What is not HTTP/1 to the outbound side arrives byte for byte."""
    with dial() as connection:
        connection.sendall(row.send)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Ended):
            reader = Reader(connection)
            while True:
                reader.more()
    wait_for(lambda: row.send in recorder.whole, LIMIT, f"the server to see all of it as it was sent; it saw {recorder.whole}")
    recorder.whole, recorder.junk = [], []
    with recorder.lock:
        recorder.seen = []


def run_cuts(row, dial, pass_good):
    """The row once for each place where it can be cut in two; the second part comes when the proxy has seen the first."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(dial()) for _ in range(1, len(row.send))]
        for at, connection in enumerate(connections, 1):
            connection.sendall(row.send[:at])
        pass_good()
        for at, connection in enumerate(connections, 1):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(row.send[at:])
        results = [judge(row, connection) for connection in connections]
    for at, (answers, end) in enumerate(results, 1):
        first = [a.status for a in results[0][0]], results[0][1]
        assert ([a.status for a in answers], end) == first, f"cut at {at}: {[a.status for a in answers]} {end}; at 1: {first}"
    return results[0]


def judge(row, connection):
    reader = Reader(connection)
    answers = []
    try:
        for _ in row.answers:
            got = read_answer(reader, "head" not in row.how)
            if got is None:
                return answers, "closed"
            answers.append(got)
            if got.cut:
                return answers, "closed"
        if row.end == "kept":
            connection.sendall(b"GET /kept HTTP/1.1\r\nHost: target\r\n\r\n")
            got = read_answer(reader, True)
            return answers, "kept" if got and got.status == "200" and not got.cut else "closed"
        while True:
            reader.more()
    except Ended:
        return answers, "closed" if not reader.bytes else f"closed after {reader.bytes!r}"
    except BrokenPipeError:
        return answers, "closed"
    except TimeoutError:
        return answers, f"hangs, with {reader.bytes[:200]!r}"
