#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls a URL many times and prints one line of JSON an answer: due, sent, done (monotonic seconds), status, version, error.

    load.py URL --count 500                    one after the other on a few connections
    load.py URL --rate 200 --seconds 5         at a fixed rate: a request is due when it is due, however slow the last one was
    -H "name: value"                           a request header (repeatable);  --connections 8
"""
import argparse
import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("--count", type=int, default=0)
    arguments.add_argument("--rate", type=float, default=0)
    arguments.add_argument("--seconds", type=float, default=0)
    arguments.add_argument("--connections", type=int, default=8)
    arguments.add_argument("-H", action="append", default=[], dest="headers")
    options = arguments.parse_args()
    url = urlsplit(options.url)
    path = url.path + ("?" + url.query if url.query else "")
    headers = dict(line.split(": ", 1) for line in options.headers)
    count = options.count or int(options.rate * options.seconds)
    numbers, lock = iter(range(count)), threading.Lock()
    start = time.monotonic() + 0.05
    results = []

    def one(connection, number):
        due = start + number / options.rate if options.rate else time.monotonic()
        time.sleep(max(0.0, due - time.monotonic()))
        entry = {"due": due, "sent": time.monotonic(), "status": 0, "version": None}
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
            entry["status"] = response.status
            if response.getheader("content-type", "").startswith("application/json"):
                entry["version"] = json.loads(body).get("version")
        except (OSError, http.client.HTTPException, ValueError) as error:
            entry["error"] = repr(error)
            connection.close()
        entry["done"] = time.monotonic()
        return entry

    def worker():
        connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=30)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            entry = one(connection, number)
            with lock:
                results.append(entry)

    threads = [threading.Thread(target=worker) for _ in range(min(options.connections, count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write("".join(json.dumps(entry) + "\n" for entry in sorted(results, key=lambda entry: entry["due"])))


if __name__ == "__main__":
    main()
