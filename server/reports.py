"""reports: what a running daemon tells its operator, as people and monitoring read it."""
from __future__ import annotations

import pwd
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A number of the status, as monitoring knows it."""
    key: str
    kind: str           # gauge, or counter
    about: str


FIGURES = [
    Figure("uptime", "gauge", "seconds since the daemon started"),
    Figure("clients", "gauge", "connected clients"),
    Figure("clients_max", "gauge", "clients that may be connected"),
    Figure("strangers", "gauge", "connections without a name"),
    Figure("chats", "gauge", "chats under way"),
    Figure("names", "gauge", "names in the log"),
    Figure("rooms", "gauge", "rooms that are open"),
    Figure("names_max", "gauge", "names that the log may hold"),
    Figure("retired", "gauge", "names that are retired"),
    Figure("bans", "gauge", "bans in force"),
    Figure("waiting", "gauge", "messages that wait in all mailboxes"),
    Figure("mailboxes", "gauge", "mailboxes in which messages wait"),
    Figure("takes_mail", "gauge", "1: new mail is taken; 0: the disk is full or too slow"),
    Figure("draining", "gauge", "1: nobody comes in any more"),
    Figure("store_bytes", "gauge", "bytes that the store takes"),
    Figure("disk_free", "gauge", "bytes free on its disk"),
    Figure("disk_tight", "gauge", "1: little of it is free, and logins may have less waiting"),
    Figure("login_share", "gauge", "bytes of one login that may wait; 0: no limit"),
    Figure("memory", "gauge", "bytes of memory that the daemon takes"),
    Figure("given", "counter", "ids given to messages and settings"),
    Figure("on_disk", "counter", "the id up to which all is on the disk"),
    Figure("refused", "counter", "what was refused, to all logins"),
    Figure("cut", "counter", "clients that the daemon put out"),
]


def size(number: float) -> str:
    """Bytes as people read them."""
    unit = "bytes"
    for unit in ("bytes", "kB", "MB", "GB"):  # noqa: B007    it stays
        if number < 1000:
            break
        number /= 1000
    else:
        unit = "TB"
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _duration(seconds: int) -> str:
    minutes, hours = seconds // 60 % 60, seconds // 3600 % 24
    return f"{counted(seconds // 86400, 'day')} {hours:02}:{minutes:02}"


def tight(told: dict[str, Any]) -> str:
    """Says that the disk is nearly full; "" if it is not."""
    share = told.get("login_share")
    only = f", only {size(share)} of one login may wait" if share else ""
    return f"THE DISK IS NEARLY FULL{only}" if told.get("disk_tight") else ""


def status_lines(told: dict[str, Any]) -> Iterator[str]:
    """The report as people read it."""
    mail = "new mail is taken" if told["takes_mail"] else f"NO MAIL IS TAKEN: {told['refusal']}"
    yield (f"parleyd {told['house']}, parley {told['release']}, pid {told['pid']}, up "
           f"{_duration(told['uptime'])}")
    yield f"  listening  {', '.join(told['listening'])}"
    yield (f"  users      {told['clients']:,} connected of {told['clients_max']:,} that may be, "
           f"{counted(told['strangers'], 'stranger')}, {counted(told['chats'], 'chat')}"
           + ", DRAINING: nobody comes in" * told["draining"])
    yield (f"  names      {told['names']:,} of {told['names_max']:,}, {told['retired']} retired; "
           f"{counted(told['bans'], 'ban')}")
    yield (f"  mail       {counted(told['waiting'], 'message')} for "
           f"{counted(told['mailboxes'], 'name')}; {mail}")
    yield (f"  store      {told['store']}: {size(told['store_bytes'])}, "
           f"{size(told['disk_free'])} free" + f": {tight(told)}" * bool(tight(told)))
    yield f"  memory     {size(told['memory'])}"
    yield f"  refused    {told['refused']:,} since the start" + \
        (": parleyd logins tells to whom" if told["refused"] else "")
    yield f"  put out    {counted(told['cut'], 'client')} since the start" + \
        (": parleyd logins tells which" if told["cut"] else "")


def prometheus(told: dict[str, Any]) -> Iterator[str]:
    """The text format 0.0.4 of Prometheus."""
    for figure in FIGURES:
        yield f"# HELP parley_{figure.key} {figure.about}"
        yield f"# TYPE parley_{figure.key} {figure.kind}"
        yield f"parley_{figure.key} {int(told[figure.key])}"


def login_shown(login: str) -> str:
    """A login or host, as people know it."""
    kind, _, uid = login.partition(" ")
    with suppress(KeyError, ValueError):
        return pwd.getpwuid(int(uid)).pw_name if kind == "uid" else login
    return login
