"""options: the client's options, its subcommands, and the link that they ask for.

All ways to run the client (on a screen, --plain, the one-shot commands) have these options and make
their link here.  A subcommand is a word behind the options of PLACED, or the first word of all, and
has options of its own: `parley --name ann log --with bob`.  It is a row of a table that parse() is
given; --name and --connect may stand on both sides of the word.  `parley help log` is `parley log
--help`.

What the configuration file says is a default of an option (terminal/config.py); FILE has the
options that it may have.
"""
from __future__ import annotations

import argparse
import os
import pwd
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import wire
from client.archive import Archive
from client.keyring import Keyring
from client.link import BAD_NAME, Link
from client.unsent import Unsent
from net import address, places
from net.texts import is_reserved
from net.values import ERRANDS
from terminal import config
from terminal.usage import RELEASE, Help, Parser
from ui import hooks
from ui.failures import PROGRAM, Failure
from ui.notices import KINDS
from ui.output import complain, print_line

PLACED = {"--connect": 2, "--name": 2, "--config": 2, "--take": 1, "--plain": 1,
          "--no-archive": 1, "--no-color": 1}
# What a file may say, and the variables that are stronger.
FILE = {PROGRAM: ("connect", "name", "plain", "no-archive", "notify", "notify-command", "open",
                  "no-color")}
ENVIRONMENT = {"connect": "PARLEY_SERVER", "name": "PARLEY_NAME", "notify": "PARLEY_NOTIFY",
               "notify-command": "PARLEY_NOTIFY_COMMAND", "open": "PARLEY_OPEN",
               "no-color": "NO_COLOR"}
WIDTH = 79                  # of the comments of --show-config
NONE = "none"               # --config none
EVERYBODY = "all"           # --who without a room


class Subcommand(NamedTuple):
    """What a word of the command line stands for."""
    about: str
    add: Callable[[argparse.ArgumentParser], None]      # adds its own options
    run: Callable[[argparse.Namespace], int | None]     # does it; the exit code, or None: the
                                                        # client goes on to its screen


def parse(argv: Sequence[str] | None, subcommands: Mapping[str, Subcommand]) -> argparse.Namespace:
    """The options, and in `run` what a subcommand does, or None.  Exits for wrong ones; raises
    Failure for a wrong configuration file."""
    words = list(sys.argv[1:] if argv is None else argv)
    at = 0
    while at < len(words) and (skip := PLACED.get(words[at]) or _joined(words[at])):
        at += skip
    if words[at:at + 1] == ["help"]:
        words[at:] = [*[each for each in words[at + 1:at + 2] if each in subcommands], "--help"]
    word = words[at] if at < len(words) else ""
    if word not in subcommands:
        return _parsed(parser(subcommands), words)
    chosen = _parsed(parser(subcommands), words[:at])
    own = Parser(prog=f"{PROGRAM} {word}", formatter_class=Help,
                 description=f"{subcommands[word].about.capitalize()}.")
    _add_name(own)
    own.add_argument("--connect", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    subcommands[word].add(own)
    own.parse_args(words[at + 1:], chosen)
    chosen.run = subcommands[word].run
    return chosen


def _parsed(made: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The options of these words and of the configuration file.  Raises Failure."""
    chosen = made.parse_args(words)
    try:
        path, found = _read(chosen.config)
        if found:
            chosen = config.take(made, words, found, CHECKS, ENVIRONMENT)
    except config.BadConfig as fault:
        raise Failure(os.EX_CONFIG, str(fault)) from None
    chosen.run = None
    if chosen.show_config:
        origin = _origin(made, words, found)
        chosen.run = lambda chosen: _show(made, chosen, path, origin)
    return chosen


def _read(given: str | None) -> tuple[str, dict[str, config.Setting]]:
    """The place of the configuration file, and what it says.  Raises BadConfig."""
    path = given or config_path()
    if not path or path == NONE:
        return path, {}
    try:
        return path, config.read(path, FILE)
    except FileNotFoundError:
        if given:
            raise config.BadConfig(f"--config {path}: there is no such file") from None
    except config.Foreign as fault:
        if given:
            raise
        complain(f"{fault}; it is passed over")
    return path, {}


def config_path() -> str:
    """Where the configuration file is without --config; "" if there is no place for it."""
    place = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(place):
        home = os.path.expanduser("~")
        place = os.path.join(home, ".config") if os.path.isabs(home) else ""
    return os.path.join(place, PROGRAM, "config") if place else ""


def _origin(made: argparse.ArgumentParser, words: Sequence[str], found: Mapping[str, config.Setting]
            ) -> dict[str, str]:
    """Where the value of each option came from; "": it is the default."""
    given, origin = config.of_words(made, words), {}
    for action in config.options_of(made):
        key = config.name_of(action)
        variable = ENVIRONMENT.get(key, "")
        origin[key] = ("the command line" if action.dest in given else
                       f"${variable}" if os.environ.get(variable) else
                       found[key].where if key in found else "")
    return origin


def _show(made: argparse.ArgumentParser, chosen: argparse.Namespace, path: str,
          origin: Mapping[str, str]) -> int:
    """--show-config."""
    chosen.no_color |= bool(os.environ.get("NO_COLOR"))
    print_line(f"# What {PROGRAM} goes by here.  {PROGRAM} reads such a file from")
    print_line(f"# {path or 'nowhere: this user has no home directory'}")
    print_line("")
    for row in config.show(made, chosen, origin, FILE, WIDTH):
        print_line(row)
    return os.EX_OK


def _check_name(text: str) -> None:
    if not wire.is_name(text):
        raise ValueError(BAD_NAME)


def _check_kind(text: str) -> None:
    if text not in KINDS:
        raise ValueError(f"one of {', '.join(KINDS)}")


CHECKS: dict[str, config.Check] = {
    "name": _check_name, "connect": address.parse, "notify": _check_kind,
    "notify-command": hooks.words, "open": hooks.words}


def no_subcommand(word: str, subcommands: Mapping[str, Subcommand]) -> str:
    """Why this word of the command line means nothing there."""
    if word in subcommands:
        return f"{word} is not an option: {PROGRAM} {word} begins, then come the options of its own"
    return (f"{word!r} is no subcommand: these are {', '.join(subcommands)}; "
            f"{PROGRAM} help says more")


def _joined(word: str) -> int:
    """1 for `--name=ann`."""
    return int(word.partition("=")[0] in PLACED and "=" in word)


def _add_name(made: argparse.ArgumentParser) -> None:
    made.add_argument("--name", metavar="NAME", default=os.environ.get("PARLEY_NAME", ""),
                      help="log in under this name ($PARLEY_NAME); without it you are asked"
                      if made.prog == PROGRAM else "whose archive ($PARLEY_NAME), or your login's")


def own_name(options: argparse.Namespace) -> str:
    """The name that was given, or else the login's.  Raises Failure."""
    if not options.name:
        name, fault = login_name()
        if fault:
            raise Failure(os.EX_USAGE, f"{fault}: say who you are with --name NAME or $PARLEY_NAME")
        return name
    if not wire.is_name(options.name):
        raise Failure(os.EX_USAGE, f"--name {options.name!r}: {BAD_NAME}")
    return str(options.name)


def parser(subcommands: Mapping[str, Subcommand]) -> argparse.ArgumentParser:
    """The options."""
    also = "; ".join(f"{PROGRAM} {word}: {row.about}" for word, row in subcommands.items())
    made = Parser(prog=PROGRAM, formatter_class=Help,
                  description=f"Chat and mail with the users of one host.  Also {also}; "
                              f"{PROGRAM} WORD --help has their options.",
                  epilog="Exit codes: 0 done, 1 no message or entry, 64 wrong use, 65 text or name "
                         "refused, 66 no archive, 67 recipient not in the log, 69 no daemon, 71 "
                         "too few descriptors, 74 input or output broke, 75 try later, 77 a "
                         "passphrase is needed, 78 a fault in the configuration file.")
    add = made.add_argument
    add("--connect", metavar="ADDRESS", default=os.environ.get("PARLEY_SERVER") or None,
        help="unix:PATH, HOST:PORT, tls:HOST:PORT, or the word own or host ($PARLEY_SERVER); "
             "without it, your own daemon, and if there is none that of the host")
    _add_name(made)
    add("--take", action="store_true",
        help="if you are connected elsewhere under this name, move that session here")
    add("--plain", action="store_true",
        help="line in, line out: for screen readers, pipes and dumb terminals")
    add("--no-archive", action="store_true", help="keep no copy of the messages that were shown")
    add("--notify", metavar="KIND", default=os.environ.get("PARLEY_NOTIFY") or "bell",
        help="how you hear of messages while you are elsewhere: bell, osc9, osc777 or off "
             "($PARLEY_NOTIFY)")
    add("--notify-command", metavar="COMMAND",
        default=os.environ.get("PARLEY_NOTIFY_COMMAND", ""),
        help="also run this then, with $PARLEY_EVENT, $PARLEY_FROM, $PARLEY_TEXT "
             "($PARLEY_NOTIFY_COMMAND)")
    add("--open", metavar="COMMAND", default=os.environ.get("PARLEY_OPEN", ""),
        help="what /url N open runs, with $PARLEY_URL ($PARLEY_OPEN)")
    add("--no-color", action="store_true", help="use no colours ($NO_COLOR)")
    add("--config", metavar="FILE",
        help="read the options that are not given here from this file, or from none; without it, "
             "from ~/.config/parley/config")
    once = made.add_mutually_exclusive_group()
    once.add_argument("--send", nargs="+", metavar=("NAMES", "TEXT"),
                      help="send one message to these names (bob,erin or all) and exit; without "
                           "TEXT it is read from stdin; put -- before a TEXT that may begin with "
                           "a dash or a comma")
    once.add_argument("--check", action="store_true",
                      help="print the messages that wait, and exit")
    once.add_argument("--who", nargs="?", const=EVERYBODY, default="", metavar="ROOM",
                      help="print the users who are connected, or who is in a room (#ops), and "
                           "exit")
    once.add_argument("--show-config", action="store_true",
                      help="print all options as a configuration file, and where each value came "
                           "from, and exit")
    add("-V", "--version", action="version", version=f"{PROGRAM} {RELEASE}")
    add("text", nargs="*", metavar="-- TEXT", help="the TEXT of --send")
    made.set_defaults(opening=None)
    return made


def make_link(options: argparse.Namespace, features: int, keeps: bool = False) -> Link:
    """The client's end of the wire, not connected yet.  `keeps`: what has no answer at the end is
    for the next session.  Raises Failure."""
    if options.name and not wire.is_name(options.name):
        raise Failure(os.EX_USAGE, f"--name {options.name!r}: {BAD_NAME}")
    state, chance = _state_directory(), random.SystemRandom()
    archive = None if options.no_archive else Archive(state)
    is_errand = bool(features & wire.Feature.ERRAND)
    instance = chance.randrange(ERRANDS, 1 << 32) if is_errand else chance.randrange(
        ERRANDS)
    if options.take:
        features |= wire.Feature.TAKE
    return Link(_addresses(options.connect), options.name, archive,
                features=features | wire.Feature.PROVE, monotonic=time.monotonic,
                instance=instance, jitter=random.random, ring=Keyring(state), token=os.urandom(16),
                now=lambda: time.time_ns() // 1000,
                counter=chance.getrandbits(31) if is_errand else 0,
                unsent=Unsent(state, instance) if keeps and archive else None)


def _addresses(given: str | None) -> list[address.Address]:
    """Where to look for the daemon, in this order.  Raises Failure."""
    if given in places.WORDS:
        return places.WORDS[given]()
    if given:
        try:
            return [address.parse(given)]
        except ValueError as fault:
            raise Failure(os.EX_USAGE, str(fault)) from None
    return places.for_client()


def _state_directory() -> str | OSError:
    """The directory of the archive and the keys, or why there is none.

    Without one the user can still log in; mail then stays in the mailbox."""
    try:
        return address.state_directory()
    except OSError as fault:
        return fault


def login_name() -> tuple[str, str]:
    """The name of a user who gave none, and why their login can't be it, or "".

    As the daemon learns it, from the kernel and the list of users, and not from $USER: cron, su and
    sudo set that as they like."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return "", f"uid {uid} has no login here"
    if is_reserved(name):
        return "", f"your login {name} is a reserved word, and no username"
    return (name, "") if wire.is_name(name) else ("", f"your login {name!r} is no username")
