"""A disk that loses power: an NBD server whose volatile cache is dropped, or written in part.

Writes stay in memory until the client flushes, as in a disk's cache. A power cut writes a random part of
them, in a random order, with the last one torn in the middle of its sectors, and drops the rest.
"""
import os
import random
import socket
import struct
import threading

SECTOR = 512
MAGIC, OPTION_MAGIC, REPLY_MAGIC = 0x4E42444D41474943, 0x49484156454F5054, 0x3E889045565A9
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
FLAGS = 1 | 4 | 8                       # has flags, flush, force unit access
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FUA = 1


class Disk:
    """One disk in a file, served on a Unix socket, over many power cuts."""

    def __init__(self, image, path, seed):
        self.image, self.path = image, path
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.cache = []
        self.cut_writes = self.dropped_writes = self.flushes = 0
        self.fuse = self.blows = None

    def cut_within_write(self, number, blows):
        """Calls `blows` at the `number`th write from now on, which is not answered any more."""
        with self.lock:
            self.fuse, self.blows = number, blows

    def serve(self):
        """Accepts one client, in a thread of its own."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(1)
        self.on = True
        threading.Thread(target=self._client, args=(listener,), daemon=True).start()

    def cut(self):
        """The power fails: what was not flushed is written in part, or not at all."""
        with self.lock:
            self.on = False
            survivors = [write for write in self.cache if self.random.random() < 0.5]
            self.random.shuffle(survivors)
            with open(self.image, "r+b") as file:
                for number, (offset, data) in enumerate(survivors):
                    if number + 1 == len(survivors) and len(data) > SECTOR:
                        data = data[: SECTOR * self.random.randrange(1, len(data) // SECTOR)]
                    file.seek(offset)
                    file.write(data)
            self.cut_writes += len(self.cache)
            self.dropped_writes += len(self.cache) - len(survivors)
            self.cache = []

    def _client(self, listener):
        connection, _ = listener.accept()
        listener.close()
        try:
            self._negotiate(connection)
            while self._request(connection):
                pass
        except (ConnectionError, OSError):
            pass
        finally:
            connection.close()

    def _negotiate(self, connection):
        connection.sendall(struct.pack(">QQH", MAGIC, OPTION_MAGIC, FIXED_NEWSTYLE | NO_ZEROES))
        receive(connection, 4)
        size = os.path.getsize(self.image)
        while True:
            _, option, length = struct.unpack(">QII", receive(connection, 16))
            data = receive(connection, length)
            reply = lambda kind, body=b"": connection.sendall(
                struct.pack(">QIII", REPLY_MAGIC, option, kind, len(body)) + body)
            if option == 1:             # export name
                connection.sendall(struct.pack(">QH", size, FLAGS))
                return
            if option in (6, 7):        # info, go
                reply(3, struct.pack(">HQH", 0, size, FLAGS))
                reply(1)
                if option == 7:
                    return
            else:
                reply(0x80000001)       # not supported: structured replies and alike

    def _request(self, connection):
        _, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", receive(connection, 28))
        if kind == DISCONNECT:
            return False
        answer = b""
        data = receive(connection, length) if kind == WRITE else b""
        with self.lock:
            if not self.on:
                return False
            if kind == READ:
                answer = self._read(offset, length)
            elif kind == WRITE:
                self.cache.append((offset, data))
                if self.fuse is not None:
                    self.fuse -= 1
                    if self.fuse == 0:
                        self.on, self.fuse = False, None
                        self.blows()
                        return False
            if kind == FLUSH or flags & FUA:
                self._flush()
        connection.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + answer)
        return True

    def _read(self, offset, length):
        with open(self.image, "rb") as file:
            file.seek(offset)
            data = bytearray(file.read(length))
        for start, written in self.cache:
            begin, end = max(start, offset), min(start + len(written), offset + length)
            if begin < end:
                data[begin - offset:end - offset] = written[begin - start:end - start]
        return bytes(data)

    def _flush(self):
        with open(self.image, "r+b") as file:
            for offset, data in self.cache:
                file.seek(offset)
                file.write(data)
        self.cache = []
        self.flushes += 1


def receive(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionError("the client is gone")
        data += more
    return data
