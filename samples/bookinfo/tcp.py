#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two raw TCP programs: tcp.py echo PORT | tcp.py banner PORT [PORT…]

echo gives bytes back; at the client's end of stream it says how many they were ("total N\\n"), so that half-close shows.
banner speaks first, as mail and database servers do: "220 …", then "250 you said …" a line.
"""
import asyncio
import os
import sys

NAME = os.environ.get("POD_NAME", "tcp")


async def echo(reader, writer):
    total = 0
    while data := await reader.read(65536):
        total += len(data)
        writer.write(data)
        await writer.drain()
    writer.write(b"total %d\n" % total)
    await writer.drain()
    writer.close()


async def banner(reader, writer):
    writer.write(f"220 {NAME} speaks first\r\n".encode())
    while line := await reader.readline():
        writer.write(b"250 you said " + line.strip() + b"\r\n")
        await writer.drain()
    writer.close()


async def guarded(talk, reader, writer):
    try:
        await talk(reader, writer)
    except OSError:
        writer.close()


async def main(kind, ports):
    talk = {"echo": echo, "banner": banner}[kind]
    servers = []
    for port in ports:
        for host in ("0.0.0.0", "::"):
            try:
                servers.append(await asyncio.start_server(lambda r, w: guarded(talk, r, w), host, int(port)))
            except OSError as error:
                if host == "0.0.0.0":
                    raise
                print(f"no IPv6: {error}", flush=True)
    print(f"{NAME} {kind} listens on {', '.join(ports)}", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
