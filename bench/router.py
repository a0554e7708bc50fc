#!/usr/bin/env python3
"""router: the bare router in Python, which shows what the work itself costs.

usage: router.py PORT|PATH [JOURNAL MIB]

It has no names, rules, checks, queues or limits.  It does what router.c does, in the shape that was
found fastest: one recv of 64 KiB, frames cut by unpack_from and slices, one join and one send for
each recipient and turn; the head of a sender's frames is made once for each length.  Nothing of it
is in parley: it shows what one Python thread can do at all.
"""
import gc
import os
import select
import socket
import struct
import sys
from typing import Any

HEAD = struct.Struct("!IBI")        # length of what follows, kind, user
LOGIN, JOIN, SEND, ROOM, KEEP, FETCH = b"LJSRQF"
MESSAGE, ACK, DONE = b"MAO"
READ_SIZE = 65536


class Client:
    """A connection."""
    __slots__ = ("fd", "heads", "out", "rest", "sock", "taken", "unsent", "user")

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.fd = sock, sock.fileno()
        self.user = 0
        self.rest = b""                     # of a frame that is not whole yet
        self.out: list[bytes] = []
        self.unsent = b""                   # what the socket did not take
        self.taken = 0                      # messages to acknowledge when they are on disk
        self.heads: dict[int, bytes] = {}   # of this sender's frames, by length


class Journal:
    """A file that was filled beforehand, so that a write changes no metadata.

    At its end the writing starts over at its beginning."""

    def __init__(self, path: str, mib: int) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.at, self.size = 0, mib << 20
        for _ in range(mib):
            os.write(self.fd, bytes(1 << 20))
        os.fsync(self.fd)

    def sync(self, data: bytes) -> None:
        if self.at + len(data) > self.size:
            self.at = 0
        self.at += os.pwrite(self.fd, data, self.at)
        os.fdatasync(self.fd)


class Router:
    """All clients, and the turn of the loop."""

    def __init__(self, listener: socket.socket, journal: Journal | None) -> None:
        self.listener, self.journal = listener, journal
        self.clients: dict[int, Client] = {}        # by descriptor
        self.by_user: dict[int, Client] = {}
        self.members: dict[Client, None] = {}
        self.queues: dict[int, list[bytes]] = {}
        self.dirty: list[Client] = []               # those with something in `out`
        self.records: list[bytes] = []              # of this turn
        self.spoken: list[tuple[Client, bytes]] = []    # this turn's room frames and their speakers
        self.poll = select.epoll()
        self.poll.register(listener.fileno(), select.EPOLLIN)

    def run(self) -> None:
        while True:
            for fd, mask in self.poll.poll():
                client = self.clients.get(fd)
                if client is None:
                    self.accept()
                    continue
                if mask & select.EPOLLOUT:
                    self.unblock(client)
                if mask & ~select.EPOLLOUT:
                    self.read(client)
            if self.records:
                if self.journal:
                    self.journal.sync(b"".join(self.records))
                self.records.clear()
            if self.spoken:
                self.spread()
            for client in self.dirty:
                if client.taken:
                    client.out.append(HEAD.pack(5, ACK, client.taken))
                    client.taken = 0
                if not client.unsent and client.out:
                    self.flush(client)
            self.dirty.clear()

    def accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = self.clients[sock.fileno()] = Client(sock)
            self.poll.register(client.fd, select.EPOLLIN)

    def read(self, client: Client) -> None:
        try:
            data = client.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(client)
            return
        self.route(client, client.rest + data if client.rest else data)

    def route(self, client: Client, data: bytes) -> None:
        """Do every whole frame in data.  SEND, of which there are many, is done right here."""
        at, end, user, heads = 0, len(data), client.user, client.heads
        unpack, get, journal, dirty = HEAD.unpack_from, self.by_user.get, self.journal, self.dirty
        while end - at >= HEAD.size:
            size, kind, to = unpack(data, at)
            stop = at + 4 + size
            if stop > end:
                break
            text = data[at + HEAD.size:stop]
            at = stop
            if kind != SEND:
                self.on_frame(client, kind, to, text)
                user = client.user
                continue
            reader = get(to)
            if reader is None:
                continue
            head = heads.get(size)
            if head is None:
                head = heads[size] = HEAD.pack(size, MESSAGE, user)
            out = reader.out
            if not out:
                dirty.append(reader)
            out.append(head)
            out.append(text)
            if journal:
                self.records += (head, text)
                self.taken(client)
        client.rest = data[at:]

    def on_frame(self, client: Client, kind: int, user: int, text: bytes) -> None:
        if kind == ROOM:
            self.spoken.append((client, HEAD.pack(5 + len(text), MESSAGE, client.user) + text))
        elif kind == KEEP:
            frame = HEAD.pack(5 + len(text), MESSAGE, client.user) + text
            self.queues.setdefault(user, []).append(frame)
            self.records += (HEAD.pack(5 + len(text), MESSAGE, user), text)
            self.taken(client)
        elif kind == LOGIN:
            client.user = user
            self.by_user[user] = client
            self.tell(client, HEAD.pack(5, DONE, user))
        elif kind == JOIN:
            self.members[client] = None
            self.tell(client, HEAD.pack(5, DONE, 0))
        elif kind == FETCH:
            self.tell(client, *self.queues.pop(client.user, ()))

    def taken(self, client: Client) -> None:
        if not client.taken and not client.out:
            self.dirty.append(client)
        client.taken += 1

    def tell(self, client: Client, *frames: bytes) -> None:
        if not client.out:
            self.dirty.append(client)
        client.out += frames

    def spread(self) -> None:
        """Pass on the turn's room frames: joined once, but for each speaker without its own."""
        speakers = {client for client, _ in self.spoken}
        whole = b"".join([frame for _, frame in self.spoken])
        for member in self.members:
            data = whole
            if member in speakers:
                data = b"".join([frame for client, frame in self.spoken if client is not member])
            if data:
                self.tell(member, data)
        self.spoken.clear()

    def flush(self, client: Client) -> None:
        data = b"".join(client.out) if len(client.out) > 1 else client.out[0]
        client.out.clear()
        try:
            sent = client.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return                          # the next read will fail too
        if sent < len(data):
            client.unsent = data[sent:]
            self.poll.modify(client.fd, select.EPOLLIN | select.EPOLLOUT)

    def unblock(self, client: Client) -> None:
        try:
            client.unsent = client.unsent[client.sock.send(client.unsent):]
        except OSError:
            return
        if not client.unsent:
            self.poll.modify(client.fd, select.EPOLLIN)
            if client.out:
                self.flush(client)

    def drop(self, client: Client) -> None:
        self.poll.unregister(client.fd)
        client.sock.close()
        del self.clients[client.fd]
        self.members.pop(client, None)
        if self.by_user.get(client.user) is client:
            del self.by_user[client.user]


def open_listener(where: str) -> socket.socket:
    if where.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where)
        listener.listen(4096)
    else:
        listener = socket.create_server(("127.0.0.1", int(where)), backlog=4096)
    listener.setblocking(False)
    return listener


def main(arguments: Any) -> None:
    where, *rest = arguments
    gc.freeze()
    gc.disable()
    Router(open_listener(where), Journal(rest[0], int(rest[1])) if rest else None).run()


if __name__ == "__main__":
    main(sys.argv[1:])
