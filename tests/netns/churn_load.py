#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The loader of test_churn.py: calls echo.py at a fixed rate on keep-alive and fresh connections, both address families.

    churn_load.py --rate 200 --count 4000 --seconds 30 --port 8000 store4=10.96.1.1 store6=fd00:10:96:1::1

One line of JSON an answer, as it comes: worker, sent, done (monotonic seconds: `sent` before the first byte goes out, `done` after
the last has come), kind, status, version, pod, rules (the mark that the route put on the answer), error. An answer that does not
belong to its request (another path, another length of the body) is an error too. Ends when `count` requests are answered, or
`seconds` are over, or its standard output is closed.
"""
import argparse
import http.client
import json
import random
import socket
import sys
import threading
import time

KINDS = {"plain": ("/", {}), "jason": ("/", {"x-user": "jason"}), "beta": ("/beta/", {})}
LOOPBACK = ("127.0.0.6", "::ffff:127.0.0.6", "::6")


def call(connection, host, kind, number, size):
    """One request on this connection; what is wrong with the answer, and the answer."""
    prefix, headers = KINDS[kind]
    path, body = f"{prefix}n/{number}", b"x" * size
    connection.request("POST" if size else "GET", path, body or None, {"Host": host, **headers})
    response = connection.getresponse()
    answer = {"status": response.status, "rules": response.getheader("x-rules")}
    text = response.read()
    if response.status != 200:
        return {**answer, "error": f"status {response.status}: {text[:200]!r}"}
    seen = json.loads(text)
    answer |= {"version": seen["version"], "pod": seen["pod"]}
    if seen["path"] != path or seen["body-length"] != size:
        answer["error"] = f"the answer is another request's: {seen['path']} of {seen['body-length']} bytes to {path} of {size}"
    elif seen["peer"] not in LOOPBACK:
        answer["error"] = f"the server's proxy was passed by: it saw {seen['peer']}"
    return answer


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rate", type=float, required=True)
    arguments.add_argument("--count", type=int, required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--port", type=int, default=8000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("hosts", nargs="+")
    options = arguments.parse_args()
    hosts = [word.split("=", 1) for word in options.hosts]
    # To each host two workers that keep their connection, one that ends it after a few requests, one that never keeps it.
    workers = [(host, address, most) for host, address in hosts for most in (None, None, 20, 1)]
    numbers, lock = iter(range(options.count)), threading.Lock()
    start = time.monotonic() + 0.05

    def work(worker, host, address, most):
        chance = random.Random(f"{options.seed} {worker}")
        connection, used = None, 0
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            time.sleep(max(0.0, start + number / options.rate - time.monotonic()))
            if time.monotonic() - start > options.seconds:
                return
            kind, size = chance.choice(list(KINDS)), chance.choice((0, 0, 0, 10, 5000, 40000))
            line = {"worker": worker, "sent": time.monotonic(), "kind": kind, "status": 0, "version": None, "pod": None, "rules": None}
            try:
                if not connection:
                    connection, used = http.client.HTTPConnection(address, options.port, timeout=20), 0
                    connection.connect()
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line |= call(connection, host, kind, number, size)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                line["error"] = f"{error!r} on use {used} of the connection"
            line["done"] = time.monotonic()
            used += 1
            if connection and ("error" in line or used == most or connection.sock is None):
                connection.close()
                connection = None
            with lock:
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()

    threads = [threading.Thread(target=work, args=(index, *what), daemon=True) for index, what in enumerate(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
