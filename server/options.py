"""options: what the operator of parleyd may say.

Every option of the daemon stands here, with the limits that are options and the reason of each default.  What is
wrong is one line and exit code 64; what comes out of here is right.
"""
import argparse
import os
import socket
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import wire
from net import address, places
from net.address import Address
from rules.chats import PATIENCE
from rules.hosts import CLIENTS_LEAST, CLIENTS_PART, NEW_NAMES
from rules.quota import ALL_SECONDS, MAILBOX_BYTES, MAILBOX_MESSAGES, SENDER_BYTES, SENDER_MESSAGES, Quotas
from terminal.usage import RELEASE, Parser, die, positive

PROGRAM = "parleyd"

STRANGERS = 64              # connections without a name, for each listener
STRANGERS_EACH = 8          # and from one address
LOGIN_SECONDS = 10          # for HELLO
SILENCE_SECONDS = 120       # without a byte from a client, then PING
FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
HOUSE_MAX = 64              # characters of the daemon's own name: a host's name has no more


class Limits(NamedTuple):
    """What an operator may want otherwise."""
    clients: int
    clients_each: int = 0       # of one host, or one login; 0: no limit
    strangers: int = STRANGERS
    strangers_each: int = STRANGERS_EACH
    login_seconds: float = LOGIN_SECONDS
    silence_seconds: float = SILENCE_SECONDS
    patience: int = PATIENCE
    quotas: Quotas = Quotas()
    rate: int = 0               # requests a second for one client; 0: fairness alone (fairness.py)
    everyone: str = "everyone"  # who may send to all
    everyone_seconds: int = ALL_SECONDS
    new_names: int = NEW_NAMES  # by one host, or one login, at once; 0: no limit
    names: int = wire.LOG_MAX   # in the log


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with `state`, `places` and `house` made out.  Exits with 64 on wrong use.

    `places` are lists: the daemon listens at the first of each that it can open."""
    options = _parser().parse_args(arguments)
    options.state = options.state or _store()
    options.places = _places(options)
    options.house = _house(options.name)
    return options


def limits(options: argparse.Namespace, room: int) -> Limits:
    """The limits that were asked for, where files can be opened for `room` connections."""
    clients = min(options.clients or room, room)
    each = options.clients_each
    if each is None:
        each = max(CLIENTS_LEAST, clients // CLIENTS_PART)
    return Limits(clients, each, options.strangers, options.strangers_each,
                  options.login_seconds, options.silence_seconds, options.patience,
                  Quotas(options.mailbox_messages, options.mailbox_bytes, options.sender_messages,
                         options.sender_bytes), options.rate, options.all, options.all_seconds,
                  options.new_names, options.names)


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="A message service for one host or a small network.")
    add = parser.add_argument
    add("--listen", metavar="ADDRESS", action="append", help="unix:PATH or HOST:PORT; may be given again")
    add("--socket-mode", metavar="MODE", choices=("600", "660", "666"),
        help="who may connect to a Unix socket: 600, 660 or 666")
    add("--tls-cert", metavar="FILE", help="speak TLS at every TCP address, with this certificate")
    add("--tls-key", metavar="FILE", help="its key; without it the key is in the file of the certificate")
    add("--trust-names", action="store_true", help="every name is free for everybody")
    add("--insecure", action="store_true", help="allow a TCP address that is not this host's own")
    add("--state", metavar="DIR", help="where the store is kept")
    add("--backend", metavar="NAME", help="the dbm module for new segments, such as dbm.gnu")
    add("--console", metavar="MODE", choices=("auto", "table", "log", "none"), default="auto",
        help="auto, table, log or none")
    add("--log", metavar="FILE", default="", help="append the event log to a file, without bodies")
    add("--no-text", action="store_true", help="leave bodies out of the console")
    add("--name", metavar="NAME", default="", help="what the daemon calls itself")
    add("--patience", metavar="SECONDS", type=positive, default=PATIENCE, help="until an invitation expires")
    add("--clients", metavar="N", type=positive, help="connections at once")
    add("--clients-each", metavar="N", type=amount, help="of those, from one address")
    add("--strangers", metavar="N", type=positive, default=STRANGERS, help="connections without a name at once")
    add("--strangers-each", metavar="N", type=positive, default=STRANGERS_EACH, help="of those, from one address")
    add("--login-seconds", metavar="N", type=positive, default=LOGIN_SECONDS, help="until a stranger is disconnected")
    add("--silence-seconds", metavar="N", type=positive, default=SILENCE_SECONDS, help="until a client is asked")
    add("--mailbox-messages", metavar="N", type=amount, default=MAILBOX_MESSAGES, help="that may wait in a mailbox")
    add("--mailbox-bytes", metavar="N", type=amount, default=MAILBOX_BYTES, help="of text that may wait in a mailbox")
    add("--sender-messages", metavar="N", type=amount, default=SENDER_MESSAGES, help="of those, by one sender")
    add("--sender-bytes", metavar="N", type=amount, default=SENDER_BYTES, help="of those, by one sender")
    add("--rate", metavar="N", type=amount, default=0, help="requests a second by one client")
    add("--all", metavar="WHO", choices=("everyone", "operators", "nobody"), default="everyone",
        help="who may send to all: everyone, operators or nobody")
    add("--all-seconds", metavar="N", type=amount, default=ALL_SECONDS, help="between two messages to all by one user")
    add("--new-names", metavar="N", type=amount, default=NEW_NAMES, help="by one address at once")
    add("--names", metavar="N", type=names, default=wire.LOG_MAX, help="in the log of names, at most")
    add("--check-store", action="store_true", help="verify the whole store, say what it holds, and exit")
    add("--salvage", metavar="DIR", help="copy what is valid in a damaged store to a new one, and exit")
    add("-V", "--version", action="version", version=f"parleyd {RELEASE}")
    return parser


def names(text: str) -> int:
    """How many names there may be in the log: no more than clients take, none for so many; for argparse."""
    number = amount(text) or wire.LOG_MAX
    if number > wire.LOG_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {wire.LOG_MAX}: no client takes a longer log")
    return number


def amount(text: str) -> int:
    """A number with K, M or G for 2**10, 2**20, 2**30, or none; for argparse."""
    number, factor = text, 1
    if text == "none":
        return 0
    if text[-1:] in FACTORS:
        number, factor = text[:-1], FACTORS[text[-1]]
    if not (number.isascii() and number.isdigit()) or not 1 <= int(number) * factor < 2**53:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of 1 or more (10, 64K, 512M, 2G) nor none")
    return int(number) * factor


def _places(options: argparse.Namespace) -> list[list[Address]]:
    """Where to listen; at TCP only when that was said, and where the network can reach it only with care."""
    try:
        wanted = [address.parse(text) for text in options.listen or ()]
    except ValueError as error:
        die(PROGRAM, os.EX_USAGE, str(error))
    if options.tls_key and not options.tls_cert:
        die(PROGRAM, os.EX_USAGE, "--tls-key needs --tls-cert")
    for where in wanted:
        if where.tls and not options.tls_cert:
            die(PROGRAM, os.EX_USAGE, f"{where} needs --tls-cert")
        if not (where.path or options.insecure or options.tls_cert or _is_loopback(where.host)):
            die(PROGRAM, os.EX_USAGE, f"{where} can be reached from the network, and nothing on it is encrypted: "
                             "give --tls-cert, use ssh, or say --insecure if that is meant")
    found = [[where if where.path else where._replace(tls=bool(options.tls_cert))] for where in wanted]
    return found or places.for_daemon()


def _store() -> str:
    """Where the store is when nobody said it.  A daemon does not look for a second place: it would be another store."""
    try:
        return str(address.state_directory() / "store")
    except OSError as error:
        die(PROGRAM, os.EX_CONFIG, f"{error.strerror}, or name a directory by --state")


def _hostname() -> str:
    """The host's name in printable ASCII, as far as it has any: büro-pc is buro-pc."""
    plain = unicodedata.normalize("NFKD", socket.gethostname().partition(".")[0]).encode("ascii", "ignore").decode()
    return "".join(filter(str.isprintable, plain))[:HOUSE_MAX] or "parley"


def _house(name: str) -> str:
    """What the daemon calls itself: its option, else the host's name."""
    house = name or _hostname()
    if len(house) > HOUSE_MAX or not house.isprintable() or not house.isascii():
        die(PROGRAM, os.EX_USAGE, f"--name takes up to {HOUSE_MAX} printable ASCII characters")
    return house


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
