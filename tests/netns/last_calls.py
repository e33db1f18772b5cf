#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that has calls to make when it is asked to end: it goes on after SIGTERM, until SIGINT.

    last_calls.py HOST…     every 50 ms a request to each, on a new connection and on one that it keeps; tells each failure, how far
                            it has got after each round, and at its end "made N calls, M failed". Until all have answered for the
                            first time nothing counts.
"""
import http.client
import signal
import sys
import time

stopped = False


def stop(*_):
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, stop)
def call(connection, headers):
    try:
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    except (OSError, http.client.HTTPException, AssertionError) as error:
        connection.close()
        return repr(error)
    return ""


kept = {host: http.client.HTTPConnection(host, timeout=10) for host in sys.argv[1:]}
while not stopped and any(call(connection, {}) for connection in kept.values()):
    time.sleep(0.05)
calls = failed = 0
while not stopped:
    for host, connection in kept.items():
        for what, once, headers in (("kept", connection, {}), ("new", http.client.HTTPConnection(host, timeout=10), {"Connection": "close"})):
            calls += 1
            if error := call(once, headers):
                failed += 1
                print(f"{host}, {what} connection: {error}", flush=True)
    print(f"calls {calls}", flush=True)
    time.sleep(0.05)
print(f"made {calls} calls, {failed} failed", flush=True)
