"""backup: a copy of a store whose daemon may be running.

Promises
    The copy holds everything that was acknowledged before the copy began, and it is whole: it was
    verified as --check-store does.  It was synced before the last line says so.  A daemon may start
    on it at once: its ids begin above all that the original can have given meanwhile.
How it works
    A store is always one that a crash may leave, and a start always recovers from one.  Segments
    never change, journals only grow at their end.  So what the manifest lists is opened first; if
    the manifest is still the same then, what was opened is a store, whatever is removed from the
    directory afterwards.  The daemon need not know.
How it fails
    With StoreError; what was copied so far is removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from store import manifest as manifests
from store.check import check
from store.disk import CannotCreate, Disk, StoreError
from store.journal import file_name
from store.manifest import Manifest
from store.recovery import Recovery

PIECE = 1 << 20  # bytes copied at once
TRIES = 100  # the manifest changes at each seal: seconds apart, at the worst
BESIDE = ("secret", "bans", "quotas")  # files of the daemon that are no part of the store
# No original gives so many ids between the copy and the day when the copy takes its place.
RESTORED_JUMP = 1 << 40


def backup(directory: str, target: str, disk: Disk) -> Iterator[str]:
    """Copy a store into a new directory; yields the lines of a report.  Raises StoreError."""
    directory, target = os.path.abspath(directory), os.path.abspath(target)
    _make(disk, target)
    try:
        manifest, size = _copy(disk, directory, target)
        _move_ids(disk, target, manifest)
        disk.sync_directory(target)
        disk.sync_directory(os.path.dirname(target))
        yield f"{target}: {size} bytes copied"
        yield from check(target, disk)
        _give(directory, target)                # check() takes only a store of its own user
    except BaseException as error:
        _remove(disk, target)
        if isinstance(error, OSError):
            raise CannotCreate(f"{target}: {error.strerror or error}") from error
        raise
    yield f"{target}: the copy is whole; `parleyd --state {target}` starts a daemon on it"


def _make(disk: Disk, target: str) -> None:
    try:
        disk.make_directory(target)
    except FileExistsError:
        raise CannotCreate(f"{target} is there already: name a directory that is not") from None
    except OSError as error:
        raise CannotCreate(f"{target}: {error.strerror}") from error


def _copy(disk: Disk, directory: str, target: str) -> tuple[Manifest, int]:
    """Copy the files that the manifest lists; the manifest, and how many bytes they have."""
    for _ in range(TRIES):
        manifest = manifests.load(disk, directory)
        if manifest is None:
            raise CannotCreate(f"{directory}: no store yet")
        opened = _opened(directory, manifest)
        try:
            if manifests.load(disk, directory) == manifest:
                return manifest, sum([_copy_file(disk, fd, os.path.join(target, name))
                                      for name, fd in opened.items()])
        finally:
            for fd in opened.values():
                os.close(fd)
    raise StoreError(f"{directory} changed at every try to copy it: try again")


def _opened(directory: str, manifest: Manifest) -> dict[str, int]:
    """Descriptors of all the files, by name; of fewer if one is gone: then the manifest is new."""
    names = [name for listed in manifest.segments for name in listed.files]
    names += [file_name(number) for number, _ in manifest.journals]
    names += [name for name in BESIDE if os.path.exists(os.path.join(directory, name))]
    opened: dict[str, int] = {}
    for name in names:
        try:
            opened[name] = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC
                                   | os.O_NOFOLLOW)
        except FileNotFoundError:
            break
    return opened


def _copy_file(disk: Disk, fd: int, path: str) -> int:
    """Copy what is in an open file, durably.  Returns how many bytes."""
    copy, done = disk.create(path), 0
    try:
        while data := os.pread(fd, PIECE, done):
            written = 0
            while written < len(data):
                written += disk.write(copy, data[written:], done + written)
            done += len(data)
        disk.sync(copy)
    finally:
        disk.close(copy)
    return done


def _move_ids(disk: Disk, target: str, manifest: Manifest) -> None:
    """The copy gives no id that the original may have given, and knows that it has none of those
    (Progress.lost)."""
    manifests.save(disk, target, manifest)
    recovery = Recovery(disk, target, manifest)
    recovery.shelf.close()
    seq = recovery.last + RESTORED_JUMP
    lost = (*manifest.lost, (recovery.last + 1, seq))
    manifests.save(disk, target, manifest._replace(generation=manifest.generation + 1, seq=seq,
                                                   lost=lost))


def _remove(disk: Disk, target: str) -> None:
    with suppress(OSError):
        for name in disk.listdir(target):
            disk.unlink(os.path.join(target, name))
        os.rmdir(target)


def _give(directory: str, target: str) -> None:
    """The copy belongs to the owner of the store."""
    if os.geteuid() != 0:
        return
    owner = os.stat(directory)
    for name in ("", *os.listdir(target)):
        os.chown(os.path.join(target, name), owner.st_uid, owner.st_gid, follow_symlinks=False)
