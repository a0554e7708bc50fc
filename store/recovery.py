"""recovery: from what lies on the disk to the users and their queues.

Every start recovers as if from a crash; there is no other way to stop.  It replays the newest
segment's records of users, then the journals in order.  Then it goes through the indexes of all
segments and keeps each page in which a message is unread; it reads a page only if the user has read
a part of it.  If the last journal ends in a torn batch, it cuts that off, durably, so that another
journal may follow.  Anything else that is not as it was written is Damaged, and nothing is changed.

A killed process leaves what it wrote in the system's memory.  A start finds it there; a power cut
after that would take it.  The daemon acts on what a start found: it reports a message that is sent
again as already stored.  So the start first syncs the last journal, and the directory with the
manifest's name.  Everything else was synced before the manifest listed it.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress

from store import manifest as manifests
from store.disk import CannotCreate, Damaged, Denied, Disk, InUse
from store.journal import HEADER_SIZE, Scan, file_name
from store.manifest import Manifest
from store.progress import ID_JUMP, Progress
from store.records import Replay, split
from store.seal import count_unread
from store.segment import Listed, Segment
from store.shelf import Shelf
from store.user import BY_FIRST, Page, User

LOCK = "lock"


class Recovery:
    """What a store holds: `users`, their mail on `shelf`, the `journals` with their sizes, the
    highest id in `last`.

    `kept`: messages with ids above this one are lost, though some of them may have been shown."""

    def __init__(self, disk: Disk, directory: str, manifest: Manifest,
                 repair: bool = True) -> None:
        self.disk, self.directory = disk, directory
        self.manifest, self.repair = manifest, repair
        self.notes: list[str] = []
        self.journals: list[tuple[int, int]] = []
        self.records = 0  # bytes of the records of users in the newest segment
        self.recorded = 0  # how many users those are of
        self.ends: dict[int, int] = {}  # by number of a journal: the highest seq in it
        self.shelf = Shelf(self.notes)
        self.replay = Replay()
        self.last, self.kept = manifest.seq, 0
        collecting = gc.isenabled()
        gc.disable()  # nothing here is garbage, and looking for it takes a third of the time
        try:
            self._read()
        except BaseException:
            self.shelf.close()
            raise
        finally:
            if collecting:
                gc.enable()
        self.last = max(self.last, self.replay.last)

    def _read(self) -> None:
        if self.repair:  # a killed process may have renamed the manifest without syncing that
            self.disk.sync_directory(self.directory)
        segments = self.manifest.segments
        newest = max([listed.number for listed in segments], default=0)
        pages = [page for listed in segments
                 for page in self._segment(listed, listed.number == newest)]
        self.recorded = len(self.users)
        for number, size in self.manifest.journals:
            self._journal(number, size)
        self.replay.finish()
        self._file(pages)

    @property
    def users(self) -> list[User]:
        return self.replay.users

    def _segment(self, listed: Listed, is_newest: bool) -> list[tuple[int, Page]]:
        """Put a segment on the shelf; its pages, with the numbers of their users.  The users are
        not known before the newest segment and the journals are read, but to open a segment a
        second time for its index would take as long again."""
        segment = Segment(self.disk, self.directory, self.manifest.store, listed)
        segment.open()
        self.shelf.add(segment)
        self.shelf.touch(segment)
        if is_newest:
            for body in segment.values("users"):
                self.records += len(body)
                self.replay.apply(split(body), segment.path)
        pages = list(segment.index())
        segment.weigh([page for _, page in pages])
        return pages

    def _journal(self, number: int, size: int | None) -> None:
        path = os.path.join(self.directory, file_name(number))
        try:
            data = self.disk.read(path)
        except FileNotFoundError:
            raise Damaged(path, 0, "listed in the manifest, but missing") from None
        scan = Scan(data, path, self.manifest.store, number, size)
        self.replay.apply(scan, path)
        end, last, torn = scan.tail
        self.last, self.ends[number] = max(self.last, last), last
        self.kept = max(last, scan.header.first - 1)
        if torn:
            self.notes.append(f"{path}: a batch torn at offset {end} was cut off; "
                              "nobody was told that it was kept")
        if size is None and self.repair:
            self._keep(path, end, len(data))
        self.journals.append((number, end))

    def _keep(self, path: str, end: int, size: int) -> None:
        """Cut off a tear, and sync the rest: a killed process may have left it unsynced."""
        fd = self.disk.open(path)
        try:
            if size != end:
                self.disk.truncate(fd, end)
            self.disk.sync(fd)
        finally:
            self.disk.close(fd)

    def _file(self, pages: list[tuple[int, Page]]) -> None:
        """Give the pages to their users, and keep those in which something is unread."""
        users, touched = self.users, set()
        for number, page in pages:
            if number >= len(users):
                path = self.shelf.segments[page.segment].path
                raise Damaged(path, 0, f"a page of user {number}, unknown")
            users[number].file(page)
            touched.add(number)
        for number in sorted(touched):
            self._count(users[number])

    def _count(self, user: User) -> None:
        """Keep the pages in which something is unread, in order."""
        pages = sorted(user.pages, key=BY_FIRST)
        user.pages = [page for page in pages if count_unread(user, page, self.shelf)]
        for page in user.pages:
            self.shelf.segments[page.segment].keep(page)
            user.waiting += page.unread

    def progress(self) -> Progress:
        """Where the seqs stand now.

        Ids jump: the daemon may have given, and shown, some above the highest that the start found.
        It skips these and remembers them as lost."""
        found = self.manifest
        last = self.last + (ID_JUMP if found.journals or found.segments else 0)
        passed = [(self.kept + 1, last)] if found.journals else []
        return Progress(last, [*found.lost, *passed])

    def with_mail(self) -> list[tuple[int, int]]:
        """The journals that hold anything."""
        return [(number, size) for number, size in self.journals if size > HEADER_SIZE]


def manifest_of(disk: Disk, directory: str) -> Manifest:
    """The manifest of a store; makes one for a new store."""
    found = manifests.load(disk, directory)
    if found is None:
        disk.sync_directory(directory)  # not every file system can: better now than never
        found = Manifest(os.urandom(16), 0, 0, (), ())
        manifests.save(disk, directory, found)
    return found


def lock_store(disk: Disk, directory: str, make: bool = True) -> int:
    """A descriptor that holds the lock of the directory, which must be private.

    With `make` the directory is made if there is none."""
    path = os.path.join(directory, LOCK)
    try:
        if make:
            with suppress(FileExistsError):
                disk.make_directory(directory)
                disk.sync_directory(os.path.dirname(directory))
        if not disk.is_private(directory):
            raise Denied(f"{directory} must be a directory of yours, for this alone, that nobody "
                         "else can enter: name one that is not there yet, or chmod 700 your own")
        fd = disk.lock(path)
        with suppress(OSError):  # the pid is for people: a full disk is no reason not to start
            disk.truncate(fd, 0)
            disk.write(fd, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        pid = disk.read(path).decode("ascii", "replace").strip()
        raise InUse(f"{directory} is in use by another daemon (pid {pid or 'unknown'})") from None
    except PermissionError as error:
        raise Denied(f"{directory}: {error.strerror}") from error
    except OSError as error:
        raise CannotCreate(f"{directory}: {error.strerror}") from error
    return fd
