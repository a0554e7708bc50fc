"""check: --check-store verifies a store and changes nothing.

It reads every batch, every value and every page.  It raises Damaged at the first thing that is not
what was written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from net.bodies import is_whole
from net.texts import ROOM_SIGN
from store import manifest as manifests
from store.disk import Damaged, Disk
from store.journal import file_name
from store.mail import messages
from store.manifest import Manifest
from store.recovery import Recovery, lock_store
from store.segment import Segment
from store.shelf import Shelf
from store.user import User


def check(directory: str, disk: Disk | None = None) -> Iterator[str]:
    """Verify a store; yields the lines of a report.  Raises StoreError."""
    disk, directory = disk or Disk(), os.path.abspath(directory)
    lock = lock_store(disk, directory, make=False)
    try:
        manifest = manifests.load(disk, directory)
        if manifest is None:
            yield f"{directory}: no store yet"
            return
        yield from _check(disk, directory, manifest)
    finally:
        disk.close(lock)


def _check(disk: Disk, directory: str, manifest: Manifest) -> Iterator[str]:
    yield f"manifest: generation {manifest.generation}, store {manifest.store.hex()}"
    recovery = Recovery(disk, directory, manifest, repair=False)
    try:
        for number, size in recovery.journals:
            yield f"{file_name(number)}: {size} bytes, valid"
        for segment in recovery.shelf.segments.values():
            pages = sum(_check_segment(segment, recovery.shelf))
            yield (f"{segment.name} ({segment.listed.backend}): {segment.messages} messages in "
                   f"{pages} pages, {segment.unread} waiting")
        yield from recovery.notes
        yield f"{_counted(recovery.users)}, ids up to {recovery.last}"
    finally:
        recovery.shelf.close()


def _counted(users: Sequence[User]) -> str:
    """How many names, and what waits for them; rooms, which the store keeps like names, apart."""
    rooms = [user for user in users if user.name[0] == ROOM_SIGN]
    lines = sum([room.waiting for room in rooms])
    waiting = sum([user.waiting for user in users]) - lines
    return (f"{len(users) - len(rooms)} names, {waiting} messages waiting"
            + f", {len(rooms)} room{'s' * (len(rooms) != 1)} with {lines} lines" * bool(rooms))


def _check_segment(segment: Segment, shelf: Shelf) -> Iterator[int]:
    """Read every value and compare every page with the index; yields 1 for each page."""
    for kind in segment.counts:
        for _ in segment.values(kind):
            pass
    path, found = os.path.join(segment.directory, segment.name), 0
    for _, page in segment.index():
        mails = shelf.mails(page)
        ids = [id for mail in mails for id in (mail.id, mail.last + 1)]
        if (ids[0] != page.first or ids[-1] != page.last + 1 or ids != sorted(ids)
                or messages(mails) != page.messages
                or not all(is_whole(mail.body) for mail in mails)):
            raise Damaged(path, 0, f"a page in mail {page.block} is not what the index says")
        found += page.messages
        yield 1
    if found != segment.messages:
        raise Damaged(path, 0, f"{found} messages, not {segment.messages}")
