"""A program that somebody else runs: clients take it for their daemon, and it passes on what they
say to the daemon, and back, up to WELCOME.

    python -m tests.harness.relay UID KEYFILE    with the routes on standard input, as JSON

A route is [address to listen at, address to call, way]; the way is what the relay does to the
messages.  The program becomes UID, prints a line when it listens, and ends with its standard input.
Then it prints how often each route got a PROOF, and how often the daemon let it in, as JSON."""
import contextlib
import json
import os
import select
import socket
import ssl
import sys
import threading

import wire
from net import scram
from net.address import Address, parse
from net.tls import Server

SECONDS = 20


# ---- what a relay does to a message; None: keeps it to itself ----

def honest(said, shown):
    return said


def old_client(said, shown):
    """The daemon shall take the client for one of 0.1."""
    if isinstance(said, wire.Hello):
        return said._replace(features=said.features & ~wire.Feature.BIND)
    return said


def old_daemon(said, shown):
    """The client shall take the daemon for one of 0.1."""
    return None if isinstance(said, wire.Binding) else said


def liar(said, shown):
    """The client shall hear of the daemon what it sees of the relay."""
    if isinstance(said, wire.Binding):
        return wire.Binding(shown.name, shown.data.hex())
    return said


WAYS = {way.__name__: way for way in (honest, old_client, old_daemon, liar)}


class Route:
    """A door of the relay, and where it leads."""

    def __init__(self, where: Address, to: Address, way: str, server: Server) -> None:
        self.to, self.way = to, WAYS[way]
        self.context = server.context if where.tls else None
        self.proofs = self.entered = 0
        if where.path:
            self.shown = scram.unix(os.geteuid())
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(where.path)
            os.chmod(where.path, 0o666)
        else:
            self.shown = scram.Binding(scram.TLS, server.binding) if where.tls else scram.TCP
            self.listener = socket.create_server((where.host, where.port))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            caller, _ = self.listener.accept()
            caller.settimeout(SECONDS)
            with contextlib.suppress(OSError), caller:
                ours = self.context.wrap_socket(caller, True) if self.context else caller
                with ours, connected(self.to) as theirs:
                    self._pass_on(ours, theirs)

    def _pass_on(self, caller: socket.socket, daemon: socket.socket) -> None:
        """Pass on what either says, until one hangs up."""
        ends = {caller: (daemon, wire.CLIENT, wire.Decoder(wire.FRAME_MAX)),
                daemon: (caller, wire.DAEMON, wire.Decoder(wire.FRAME_MAX))}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                other, side, decoder = ends[end]
                data, passed = end.recv(65536), b""     # a record of TLS is shorter: nothing stays
                if not data:
                    return
                for frame in decoder.feed(data):
                    said = self.way(wire.decode(frame, side), self.shown)
                    self.proofs += isinstance(said, wire.Proof)
                    self.entered += isinstance(said, wire.Welcome)
                    passed += wire.encode(said) if said is not None else b""
                other.sendall(passed)


def connected(to: Address) -> socket.socket:
    """A connection to this address, whatever its certificate."""
    sock = socket.socket(socket.AF_UNIX if to.path else socket.AF_INET)
    sock.settimeout(SECONDS)
    if not to.path:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(to.path or (to.host, to.port))
    if not to.tls:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock)


def main(uid: str, key_file: str) -> None:
    server = Server(key_file, key_file)
    rows = [(parse(where), parse(to), way)      # before it may no longer read Python's modules
            for where, to, way in json.loads(sys.stdin.readline())]
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    routes = [Route(where, to, way, server) for where, to, way in rows]
    print("listening", flush=True)
    sys.stdin.read()
    print(json.dumps([[route.proofs, route.entered] for route in routes]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
