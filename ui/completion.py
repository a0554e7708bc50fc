"""completion: parley names: the names in the log, and rooms, that begin with what is typed.

The shells' completion files ask for them at a Tab (--quick): then nothing is said of what goes
wrong, nobody is asked for a passphrase, and whatever has not come within QUICK_SECONDS is left out.
A log of 5,000 names is there in a fifth of that.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

import wire
from client.events import Offline, Online
from client.link import Link
from client.waiter import Waiter
from ui.errand import FEATURES, NAMES, leave, turns
from ui.failures import Failure
from ui.options import Subcommand, make_link, own_name
from ui.output import print_line
from wire import ROOM_SIGN, Feature

QUICK_SECONDS = 0.1     # to connect and to be told the names: less than a user notices
QUICK_MOST = 500        # names that a shell is given: nobody reads more


def names(options: argparse.Namespace) -> int:
    """The exit code.  Raises Failure."""
    beginning = options.beginning.lower()
    of_rooms = beginning.startswith(ROOM_SIGN)
    with contextlib.suppress(Failure) if options.quick else contextlib.nullcontext():
        options.name = own_name(options)
        options.no_archive = True
        waiter = Waiter(make_link(options, FEATURES if of_rooms else NAMES & ~Feature.STATUS))
        try:
            _gather(waiter, of_rooms, time.monotonic() + QUICK_SECONDS if options.quick else None)
            found = [name for name in (_rooms if of_rooms else _people)(waiter.link)
                     if name.lower().startswith(beginning)]
            for name in found[:QUICK_MOST if options.quick else None]:
                print_line(name)
            if not options.quick:
                leave(waiter)
        finally:
            waiter.link.close()
    return os.EX_OK


def _gather(waiter: Waiter, of_rooms: bool, until: float | None) -> None:
    """Connect, and hear the names or the rooms, all of them if there is no end to the time.  Raises
    Failure."""
    waiter.link.connect()
    for heard in turns(waiter, until):
        for event in heard:
            if isinstance(event, Online) and of_rooms:
                if not waiter.link.ask.granted & Feature.ROOMS:
                    return
                waiter.link.ask.rooms.list()
            if isinstance(event, Offline) or _ends(event, of_rooms):
                return


def _ends(event: Any, of_rooms: bool) -> bool:
    """Whether nothing more is to come."""
    if of_rooms:
        return isinstance(event, wire.Failed) or (
            isinstance(event, wire.Rooms) and bool(event.request and event.last))
    return isinstance(event, wire.Roster) and bool(event.last)


def _people(link: Link) -> list[str]:
    """The connected users, and then the others."""
    present, log = link.roster.present, link.roster
    here = [present[name].name for name in sorted(present)]
    return here + [log.spelled(name) for name in log.order if name not in present]


def _rooms(link: Link) -> list[str]:
    rooms = link.rooms.own | link.rooms.listed
    return [rooms[name].name for name in sorted(rooms)]


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quick", action="store_true",
                        help="for completion: what goes wrong is not said, and what takes longer "
                             "than a tenth of a second is left out")
    parser.add_argument("beginning", metavar="BEGINNING", nargs="?", default="",
                        help="how they begin; with # the rooms that you may join")


SUBCOMMANDS: Mapping[str, Subcommand] = {
    "names": Subcommand("print the names in the log, or rooms", _add_names, names),
}
