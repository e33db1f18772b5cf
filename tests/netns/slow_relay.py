#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Between proxies and agent, slowly: slow_relay.py SOCKET TARGET BYTES SECONDS. Hands the agent's bytes on in drops of so many,
so many seconds apart; what proxies say goes through at once."""
import os
import socket
import sys
import threading
import time


def copy(source, target, size, pause):
    try:
        while data := source.recv(size):
            target.sendall(data)
            if pause:
                time.sleep(pause)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main(path, target, size, pause):
    with socket.socket(socket.AF_UNIX) as server:
        if os.path.exists(path):
            os.unlink(path)
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(16)
        print("listens", flush=True)
        while True:
            downstream, _ = server.accept()
            upstream = socket.socket(socket.AF_UNIX)
            try:
                upstream.connect(target)
            except OSError:
                downstream.close()
                continue
            print("connection", flush=True)
            threading.Thread(target=copy, args=(downstream, upstream, 65536, 0), daemon=True).start()
            threading.Thread(target=copy, args=(upstream, downstream, int(size), float(pause)), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
