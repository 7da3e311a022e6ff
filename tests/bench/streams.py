#!/usr/bin/env python3
"""What tablets cost a gateway: event streams in memory and processor time, and how long it takes from an
MQTT publication to the event on all of them.

    tests/bench/streams.py PROGRAM [STREAMS]

PROGRAM is `target/dist/grelot`. It runs the demo, whose page needs no pairing, and publishes visits of its
own with the demo's login.
"""

import asyncio
import json
import os
import statistics
import struct
import subprocess
import sys
import time
from urllib.parse import urlparse

IDLE_SECS = 30
VISITS = 50


def memory_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def cpu_secs(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def field(octets):
    return struct.pack(">H", len(octets)) + octets


def packet(head, body):
    length, left = b"", len(body)
    while True:
        left, octet = left // 128, left % 128
        length += bytes([octet | (0x80 if left else 0)])
        if not left:
            return bytes([head]) + length + body


def visit(number):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"00000000-0000-8000-8000-{number:012x}", json.dumps({
        "v": 1, "visit": f"00000000-0000-8000-8000-{number:012x}", "client": f"c-{number}",
        "tier": "gold", "gateway": "bench", "arrived_at": now, "confidence": 0.97,
        "discreet": False, "state": "present", "announced": True, "revision": 1,
    }).encode()


async def opened(page, tab):
    """One after the other: of one address 32 connections may wait for their first answer."""
    reader, writer = await asyncio.open_connection(page.hostname, page.port, limit=1 << 20)
    writer.write(f"GET /events?tab={tab} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer


async def look_on(stream, seen):
    reader, _ = stream
    while line := await reader.readline():
        if line.startswith(b"data: {\"v\":1"):
            seen(line)


async def measure(demo, program, streams):
    page, broker = urlparse(demo["page"]), urlparse(demo["broker"])
    pid = program.pid
    await asyncio.sleep(2)
    before = memory_kib(pid)
    waiting, times = {}, []

    def seen(line):
        for number, (at, left) in list(waiting.items()):
            if f"-{number:012x}".encode() in line:
                times.append(time.monotonic() - at)
                waiting[number] = (at, left - 1)
                if left == 1:
                    del waiting[number]

    streams_open = [await opened(page, tab) for tab in range(streams)]
    tabs = [asyncio.create_task(look_on(stream, seen)) for stream in streams_open]
    await asyncio.sleep(5)
    failed = [tab for tab in tabs if tab.done()]
    assert not failed, failed[0].exception()
    began, cpu = time.monotonic(), cpu_secs(pid)
    await asyncio.sleep(IDLE_SECS)
    idle = (cpu_secs(pid) - cpu) / (time.monotonic() - began)
    open_memory = memory_kib(pid)

    reader, writer = await asyncio.open_connection(broker.hostname, broker.port)
    login = field(demo["username"].encode()) + field(demo["password"].encode())
    writer.write(packet(0x10, field(b"MQTT") + b"\x04\xc2\x00\x3c" + field(b"bench") + login))
    assert (await reader.readexactly(4))[3] == 0
    cpu = cpu_secs(pid)
    for number in range(1, VISITS + 1):
        ident, payload = visit(number)
        topic = f"grelot/v1/{demo['store']}/visits/{ident}".encode()
        waiting[number] = (time.monotonic(), streams)
        writer.write(packet(0x31, field(topic) + payload))
        await writer.drain()
        while number in waiting:
            await asyncio.sleep(0.005)
    busy = cpu_secs(pid) - cpu
    times.sort()
    print(f"{streams} event streams")
    print(f"resident memory      {before / 1024:.1f} MiB before, {open_memory / 1024:.1f} MiB with them")
    print(f"                     {(open_memory - before) / streams:.1f} KiB each")
    print(f"processor, idle      {idle * 100:.2f} % of a core")
    print(f"processor, a change  {busy / VISITS * 1000:.1f} ms for all streams")
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))] * 1000
    print(f"publication to event {statistics.median(times) * 1000:.0f} ms median, {at(0.95):.0f} ms p95, "
          f"{times[-1] * 1000:.0f} ms at most (50 ms of them gather changes)")


def main():
    streams = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    command = [sys.argv[1], "demo", "--json", "--no-open", "--listen", "127.0.0.1:0"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        demo = json.loads(program.stdout.readline())
        asyncio.run(measure(demo, program, streams))
    finally:
        program.terminate()
        program.wait()


main()
