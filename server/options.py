"""options: what the operator of parleyd may say.

Every option of the daemon stands here, with the limits that are options and the reason for each
default.  A wrong option ends the process with one line and exit code 64; what parse() returns is
right.
"""
import argparse
import os
import socket
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import wire
from net import address, places
from net.address import Address
from rules.hosts import CLIENTS_LEAST, CLIENTS_PART, NEW_NAMES
from rules.invitations import PATIENCE
from rules.owners import NAMES_EACH
from rules.quota import (
    ALL_SECONDS,
    LOGIN_BYTES,
    MAILBOX_BYTES,
    MAILBOX_MESSAGES,
    SENDER_BYTES,
    SENDER_MESSAGES,
    Quotas,
)
from rules.rooms import LINES_MAX, ROOM_LINES
from terminal import config, printer
from terminal.usage import RELEASE, Help, Parser, die, positive, say

PROGRAM = "parleyd"
# Words in place of options, that ask the running daemon (control.py).
SUBCOMMANDS = ("status", "top", "names", "logins", "check", "kick", "ban", "unban", "bans",
               "announce", "drain", "quota", "upgrade", "retire", "reinstate", "backup")

STRANGERS = 64              # connections without a name, for each listener
STRANGERS_EACH = 8          # and from one address
HANDSHAKES = 256            # connections that agree on TLS, and as many at their proof, for each
                            # listener: to push one out that answers within 50 ms takes 5000 dials a
                            # second from several hosts
HANDSHAKES_EACH = 64        # and from one host: 1300 a second; a class that comes in at once
LOGIN_SECONDS = 10          # for HELLO and PROOF
SILENCE_SECONDS = 120       # without a byte from a client, before the daemon sends PING
FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LOG_EACH = 4 << 10          # bytes a second of one login in the log: 14 MB an hour
HOST_FILE = "/etc/parley/parleyd.conf"
NO_FILE = "none"            # --config none
WIDTH = 79                  # of the comments of --show-config
CHECKS: dict[str, config.Check] = {"listen": address.parse}
# The options that a configuration file may have.
SECTIONS = {
    "listen": ("listen", "socket-mode", "tls-cert", "tls-key", "trust-names", "tcp-names",
               "insecure"),
    "store": ("state", "backend"),
    "log": ("console", "log", "log-format", "no-text", "name"),
    "limits": ("patience", "clients", "clients-each", "strangers", "strangers-each", "handshakes",
               "handshakes-each", "login-seconds", "silence-seconds", "mailbox-messages",
               "mailbox-bytes", "sender-messages", "sender-bytes", "login-bytes", "rate", "all",
               "all-seconds", "log-each", "new-names", "names", "names-each", "room-lines")}
HOUSE_MAX = 64              # characters of the daemon's own name: host names have no more


class Limits(NamedTuple):
    """The limits that an operator may change."""
    clients: int                # connected at once
    clients_each: int = 0       # of one host, or one login; 0: no limit
    strangers: int = STRANGERS
    strangers_each: int = STRANGERS_EACH
    handshakes: int = HANDSHAKES
    handshakes_each: int = HANDSHAKES_EACH
    login_seconds: float = LOGIN_SECONDS
    silence_seconds: float = SILENCE_SECONDS
    patience: int = PATIENCE
    quotas: Quotas = Quotas()
    rate: int = 0               # requests a second for one client; 0: fairness alone (fairness.py)
    everyone: str = "everyone"  # who may send to all
    everyone_seconds: int = ALL_SECONDS
    new_names: int = NEW_NAMES  # by one host, or one login, at once; 0: no limit
    names: int = wire.LOG_MAX   # in the log
    names_each: int = NAMES_EACH    # owned by one login; 0: no limit
    room_lines: int = ROOM_LINES    # that a room keeps, for those who join


def subcommand(words: Sequence[str]) -> list[str]:
    """The words of a subcommand, itself the first, though --connect may stand before it; none, if
    they are for the daemon."""
    at = 2 if words[:1] == ["--connect"] else int("".join(words[:1]).startswith("--connect="))
    if at < len(words) and words[at] in SUBCOMMANDS:
        return [words[at], *words[:at], *words[at + 1:]]
    return []


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with `state`, `places` and `house` worked out.  Exits with 64 on wrong use.

    `places` is a list of lists: the daemon listens at the first place of each that it can open."""
    options = configured(sys.argv[1:] if arguments is None else arguments)
    options.state = options.state or _store()
    options.places = _places(options)
    options.house = _house(options.name)
    return options


def configured(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line, and those of the configuration file that are not there.
    Exits with 64 for a wrong command line, with 78 for a wrong file, and with 0 if the operator
    only wanted to see them."""
    parser = _parser()
    if arguments and not arguments[0].startswith("-"):
        die(PROGRAM, os.EX_USAGE, f"{arguments[0]!r} is no subcommand: these are "
                                  f"{', '.join(SUBCOMMANDS)}; {PROGRAM} --help says more")
    options = parser.parse_args(arguments)
    path, found = options.config or config_path(), {}       # type: str, dict[str, config.Setting]
    try:
        if path != NO_FILE:
            found = config.read(path, SECTIONS)
            options = config.take(parser, arguments, found, CHECKS, {})
    except FileNotFoundError:
        if options.config:
            die(PROGRAM, os.EX_CONFIG, f"--config {path}: there is no such file")
    except config.BadConfig as fault:
        if not isinstance(fault, config.Foreign) or options.config or path == HOST_FILE:
            die(PROGRAM, os.EX_CONFIG, str(fault))
        if not isinstance(fault, config.Unreadable):
            printer.complain(PROGRAM, f"{fault}; it is passed over")
    if options.show_config:
        _show(parser, options, path, arguments, found)
        raise SystemExit(os.EX_OK)
    return options


def config_path() -> str:
    """Where the configuration file is without --config: the host's daemon has one, and each user's
    own daemon another."""
    if places.host_owner() == os.geteuid():
        return HOST_FILE
    place = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(place if os.path.isabs(place) else os.path.expanduser("~/.config"),
                        "parley/parleyd.conf")


def _show(parser: Parser, options: argparse.Namespace, path: str, arguments: Sequence[str],
          found: Mapping[str, config.Setting]) -> None:
    """--show-config: a file with all options, in which the defaults are comments."""
    given = config.of_words(parser, arguments)
    origin, shown = {}, argparse.Namespace(**vars(options))
    for action in config.options_of(parser):
        key = config.name_of(action)
        origin[key] = ("the command line" if action.dest in given else
                       found[key].where if key in found else "")
        if action.type in (amount, names, lines):
            setattr(shown, action.dest, written(getattr(options, action.dest)))
    say(PROGRAM, f"# What {PROGRAM} goes by here.  It reads such a file from")
    say(PROGRAM, f"# {path}")
    if path != HOST_FILE and not options.config:
        say(PROGRAM, "# The host's daemon, which runs as the owner of /run/parley, reads")
        say(PROGRAM, f"# {HOST_FILE}")
    say(PROGRAM, "")
    for row in config.show(parser, shown, origin, SECTIONS, WIDTH):
        say(PROGRAM, row)


def written(number: int | None) -> str | None:
    """A limit as the operator writes it: 64K, none."""
    if not number:
        return number if number is None else "none"
    factor = next((sign for sign, factor in reversed(FACTORS.items()) if not number % factor), "")
    return f"{number // FACTORS.get(factor, 1)}{factor}"


def limits(options: argparse.Namespace, room: int) -> Limits:
    """The limits that the operator asked for, with descriptors for `room` connections."""
    clients = min(options.clients or room, room)
    each = options.clients_each
    if each is None:
        each = max(CLIENTS_LEAST, clients // CLIENTS_PART)
    quotas = Quotas(messages=options.mailbox_messages, size=options.mailbox_bytes,
                    sender_messages=options.sender_messages, sender_size=options.sender_bytes,
                    login_size=options.login_bytes)
    return Limits(
        clients=clients, clients_each=each, strangers=options.strangers,
        strangers_each=options.strangers_each, handshakes=options.handshakes,
        handshakes_each=options.handshakes_each, login_seconds=options.login_seconds,
        silence_seconds=options.silence_seconds, patience=options.patience, quotas=quotas,
        rate=options.rate, everyone=options.all, everyone_seconds=options.all_seconds,
        new_names=options.new_names, names=options.names,
        names_each=options.names_each, room_lines=options.room_lines)


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, formatter_class=Help,
                    description="A message service for one host or a small network.  "
                                f"Its operator asks it by parleyd {', '.join(SUBCOMMANDS)}; "
                                "parleyd WORD --help has their options.")
    parser.add_argument("--config", metavar="FILE",
                        help="read the options that are not given here from this file, or from "
                             "none; without it, from /etc/parley/parleyd.conf, and of a user's own "
                             "daemon from ~/.config/parley/parleyd.conf")
    parser.add_argument("--check-config", action="store_true",
                        help="say whether the options and the file are right, and exit")
    parser.add_argument("--show-config", action="store_true",
                        help="print all options as such a file, the defaults as comments, and exit")
    add = parser.add_argument_group("where it listens, and for whom").add_argument
    add("--listen", metavar="ADDRESS", action="append",
        help="unix:PATH or HOST:PORT; may be given several times")
    add("--socket-mode", metavar="MODE", choices=("600", "660", "666"),
        help="who may connect to a Unix socket: 600, 660 or 666")
    add("--tls-cert", metavar="FILE", help="speak TLS at every TCP address, with this certificate")
    add("--tls-key", metavar="FILE", help="its key, if it is not in the certificate's file")
    add("--trust-names", action="store_true", help="let everybody use every name")
    add("--tcp-names", metavar="WHICH", choices=("any", "claimed"), default="any",
        help="the names that come in over TCP: any, or only claimed ones")
    add("--insecure", action="store_true",
        help="allow a TCP address that is not loopback, without TLS")
    add = parser.add_argument_group("the store").add_argument
    add("--state", metavar="DIR", help="keep the store in this directory")
    add("--backend", metavar="NAME", help="the dbm module for new segments, such as dbm.gnu")
    add = parser.add_argument_group("what the operator sees").add_argument
    add("--console", metavar="MODE", choices=("auto", "table", "log", "none"), default="auto",
        help="what standard output shows: auto, table, log or none")
    add("--log", metavar="FILE", default="", help="append the event log to a file, without bodies")
    add("--log-format", metavar="FORM", choices=("text", "json"), default="text",
        help="how lines of the event log are written: text or json")
    add("--no-text", action="store_true", help="leave bodies out of the console")
    add("--name", metavar="NAME", default="", help="what the daemon calls itself")
    _limit_options(parser)
    add = parser.add_argument_group("in place of a daemon").add_argument
    add("--check-store", action="store_true",
        help="verify the whole store, report what it holds, and exit")
    add("--salvage", metavar="DIR",
        help="copy what is valid in a damaged store to a new one, and exit")
    add("-V", "--version", action="version", version=f"parleyd {RELEASE}")
    return parser


def _limit_options(parser: Parser) -> None:
    group = parser.add_argument_group("limits, with their defaults")

    def add(option: str, kind: Callable[[str], int], default: int | None, help: str,
            metavar: str = "N") -> None:
        known = str(default) if kind is positive else written(default)
        group.add_argument(option, metavar=metavar, type=kind, default=default,
                           help=help if default is None else f"{help} ({known})")

    add("--patience", positive, PATIENCE, "seconds until an invitation expires", "SECONDS")
    add("--clients", positive, None, "clients and strangers connected at once")
    add("--clients-each", amount, None, "clients of one host or login")
    add("--strangers", positive, STRANGERS, "connections that said nothing yet, at each address")
    add("--strangers-each", positive, STRANGERS_EACH, "of those, from one host or login")
    add("--handshakes", positive, HANDSHAKES, "connections at their proof, at each address")
    add("--handshakes-each", positive, HANDSHAKES_EACH, "of those, from one host or login")
    add("--login-seconds", positive, LOGIN_SECONDS, "seconds for a connection to give a name")
    add("--silence-seconds", positive, SILENCE_SECONDS,
        "seconds of silence before a client is asked")
    add("--mailbox-messages", amount, MAILBOX_MESSAGES, "messages that may wait in a mailbox")
    add("--mailbox-bytes", amount, MAILBOX_BYTES, "bytes of text that may wait in a mailbox")
    add("--sender-messages", amount, SENDER_MESSAGES, "of those messages, by one sender")
    add("--sender-bytes", amount, SENDER_BYTES, "of those bytes, by one sender")
    add("--login-bytes", amount, LOGIN_BYTES, "bytes of one login that may wait in all mailboxes")
    add("--rate", amount, 0, "requests per second from one client")
    group.add_argument("--all", metavar="WHO", choices=("everyone", "operators", "nobody"),
                       default="everyone",
                       help="who may send to all: everyone, operators or nobody (everyone)")
    add("--all-seconds", amount, ALL_SECONDS, "seconds between two messages to all by one user")
    add("--log-each", amount, LOG_EACH, "bytes of log per second for one host or login", "BYTES")
    add("--new-names", amount, NEW_NAMES, "new names by one host or login at once")
    add("--names", names, wire.LOG_MAX, "names in the log, at most")
    add("--names-each", amount, NAMES_EACH, "names that one login may own")
    add("--room-lines", lines, ROOM_LINES, "lines that a room keeps for those who join")


def names(text: str) -> int:
    """How many names the log may hold, at most LOG_MAX; "none" is LOG_MAX.  For argparse."""
    number = amount(text) or wire.LOG_MAX
    if number > wire.LOG_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is more than {wire.LOG_MAX}: no client takes a longer log")
    return number


def lines(text: str) -> int:
    """How many lines a room keeps, at most LINES_MAX; 0 for "none".  For argparse."""
    number = amount(text)
    if number > LINES_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LINES_MAX}: what is older is in "
                                         "the archives of the members")
    return number


def amount(text: str) -> int:
    """A number with K, M or G for 2**10, 2**20, 2**30; 0 for "none".  For argparse."""
    number, factor = text, 1
    if text == "none":
        return 0
    if text[-1:] in FACTORS:
        number, factor = text[:-1], FACTORS[text[-1]]
    is_number = number.isascii() and number.isdigit()
    if not is_number or not 1 <= int(number) * factor < 2**53:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of 1 or more (10, 64K, 512M, 2G) nor none")
    return int(number) * factor


def _places(options: argparse.Namespace) -> list[list[Address]]:
    """Where to listen: at TCP only if the operator says so, and where the network can reach it
    only with TLS or --insecure."""
    try:
        wanted = [address.parse(text) for text in options.listen or ()]
    except ValueError as error:
        die(PROGRAM, os.EX_USAGE, str(error))
    if options.tls_key and not options.tls_cert:
        die(PROGRAM, os.EX_USAGE, "--tls-key needs --tls-cert")
    if options.tcp_names == "claimed" and wanted and not any(where.path for where in wanted):
        die(PROGRAM, os.EX_USAGE, "--tcp-names claimed needs a Unix socket beside the TCP address, "
                                  "where users claim their names: --listen unix:PATH")
    for where in wanted:
        if where.tls and not options.tls_cert:
            die(PROGRAM, os.EX_USAGE, f"{where} needs --tls-cert")
        if not may_listen(where, options):
            die(PROGRAM, os.EX_USAGE, exposed(where))
    has_tls = bool(options.tls_cert)
    found = [[where if where.path else where._replace(tls=has_tls)] for where in wanted]
    return found or places.for_daemon()


def may_listen(where: Address, options: argparse.Namespace) -> bool:
    """Whether the operator has said enough for a listener at this place."""
    return bool(where.path or options.insecure or options.tls_cert or _is_loopback(where.host))


def exposed(where: Address) -> str:
    """Why a listener at this place is refused."""
    return (f"the network can reach {where}, and nothing on it is encrypted: give --tls-cert, "
            "use ssh, or say --insecure if you mean it")


def _store() -> str:
    """The default place of the store.  If it can't be used, the daemon looks for no second place:
    that would be another store."""
    try:
        return os.path.join(address.state_directory(), "store")
    except OSError as error:
        die(PROGRAM, os.EX_CONFIG, f"{error.strerror}, or name a directory with --state")


def _hostname() -> str:
    """The host's name in printable ASCII, as far as it has any: büro-pc is buro-pc."""
    name = unicodedata.normalize("NFKD", socket.gethostname().partition(".")[0])
    plain = name.encode("ascii", "ignore").decode()
    return "".join(filter(str.isprintable, plain))[:HOUSE_MAX] or "parley"


def _house(name: str) -> str:
    """What the daemon calls itself: --name, else the host's name."""
    house = name or _hostname()
    if len(house) > HOUSE_MAX or not house.isprintable() or not house.isascii():
        die(PROGRAM, os.EX_USAGE, f"--name takes up to {HOUSE_MAX} printable ASCII characters")
    return house


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
