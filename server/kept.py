"""kept: what an operator has set for good, in files beside the store: rows of fields with tabs.

`parleyd ban` and `parleyd quota` write such a file, whole and durably, and the daemon only reads
it: at its start, at HUP, and when the program asks for it.  So nothing in the loop waits for the
disk, and what was said to be set holds after a power cut.  A file that can't be read leaves what is
in force.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence

from store.disk import Disk

FIELD_MAX = 200         # characters of a field

Rows = Sequence[Sequence[str]]


class BadFile(Exception):
    """The file can't be read, or not be written: one line that says why."""


def rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, and its fields.  Raises BadFile."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    yield from ((number, line.split("\t")) for number, line in enumerate(lines, 1)
                if line and not line.startswith("#"))


@contextlib.contextmanager
def changing(path: str, most: int, full: str) -> Iterator[Callable[[Rows], None]]:
    """Whoever holds this is alone in changing the files of its directory; gives a function that
    replaces this one, durably.  It raises BadFile, with the words `full` for more than `most` rows,
    and OSError."""
    def replace(rows: Rows) -> None:
        if len(rows) > most:
            raise BadFile(f"there are {most} {full}")
        _write(directory, path, rows)

    directory = os.path.dirname(path)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield replace
    finally:
        os.close(lock)


def _write(directory: str, path: str, rows: Rows) -> None:
    disk, owner = Disk(), os.stat(directory)
    lines = ["\t".join(" ".join(field.split())[:FIELD_MAX] for field in row) for row in rows]
    with contextlib.suppress(FileNotFoundError):        # left by one that was killed
        disk.unlink(path + ".tmp")
    fd = disk.create(path + ".tmp")
    try:
        data, done = "".join(f"{line}\n" for line in lines).encode(), 0
        while done < len(data):
            done += disk.write(fd, data[done:], done)
        if os.geteuid() == 0:                           # it is the daemon's, as the store is
            os.fchown(fd, owner.st_uid, owner.st_gid)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(path + ".tmp", path)
    disk.sync_directory(directory)
