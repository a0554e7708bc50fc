"""manifest: the small file that says which journals and segments count.

    {"version": 1, "store": "32 hex digits", "generation": 7, "seq": 1048601,
     "journals": [[3, 88123], [4, null]], "segments": [[2, "dbm.gnu", {"segment.00000002": 90112}]],
     "lost": [[24, 1048600]]}
    crc32 of the line above, 8 hex digits

One line of JSON and its checksum.  It is replaced whole: written beside, synced, renamed, the directory synced; so
there is always one, and what it does not list is the rest of something unfinished and may be removed.  The size of a
journal is null while it is the last: the one being written.  `seq` is a floor for new ids: it outlives the journals.
`lost`: ids that a start passed over, the last LOST_MAX of such ranges: whatever had one of them is not on the disk.
Fails with OSError when the new one cannot be written (the old one stands) and Failed when it cannot be told which of
the two stands.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from typing import Any, NamedTuple
from zlib import crc32

from store.disk import Damaged, Disk, Failed
from store.journal import SPARE, file_name
from store.segment import Listed

NAME = "manifest"
VERSION = 1


class Manifest(NamedTuple):
    store: bytes
    generation: int
    seq: int
    journals: tuple[tuple[int, int | None], ...]  # number, size
    segments: tuple[Listed, ...]
    lost: tuple[tuple[int, int], ...] = ()  # first and last


def encode(manifest: Manifest) -> bytes:
    line = json.dumps({"version": VERSION, "store": manifest.store.hex(), "generation": manifest.generation,
                       "seq": manifest.seq, "journals": manifest.journals, "segments": manifest.segments,
                       "lost": manifest.lost}).encode()
    return b"%s\n%08x\n" % (line, crc32(line))


def decode(data: bytes, name: str) -> Manifest:
    line, _, rest = data.partition(b"\n")
    if rest != b"%08x\n" % crc32(line):
        raise Damaged(name, 0, "wrong checksum")
    try:
        return _decode(json.loads(line), name)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(name, 0, f"not a manifest ({error!r})") from error


def _decode(fields: dict[str, Any], name: str) -> Manifest:
    if fields["version"] != VERSION:
        raise Damaged(name, 0, f"version {fields['version']} is not one that this program reads")
    return Manifest(bytes.fromhex(fields["store"]), int(fields["generation"]), int(fields["seq"]),
                    tuple((int(number), size) for number, size in fields["journals"]),
                    tuple(Listed(int(number), backend, files) for number, backend, files in fields["segments"]),
                    tuple((int(first), int(last)) for first, last in fields.get("lost", ())))  # since 0.2


def load(disk: Disk, directory: str) -> Manifest | None:
    """The manifest, None for a new store.  A store with mail but no manifest is damaged, never new."""
    path = os.path.join(directory, NAME)
    names = disk.listdir(directory)
    if NAME in names:
        return decode(disk.read(path), path)
    if any(is_data(name) for name in names):
        raise Damaged(path, 0, "missing, though there are journals or segments")
    return None


def save(disk: Disk, directory: str, manifest: Manifest) -> None:
    """Replace the manifest, durably."""
    disk.at_once(saving(disk, directory, manifest))


def saving(disk: Disk, directory: str, manifest: Manifest) -> Generator[object, None, None]:
    """The same as steps of a task."""
    path = os.path.join(directory, NAME)
    data = encode(manifest)
    if NAME + ".tmp" in disk.listdir(directory):
        disk.unlink(path + ".tmp")
    fd = disk.create(path + ".tmp")
    try:
        done = 0
        while done < len(data):
            done += disk.write(fd, data[done:], done)
        yield from disk.syncing(fd)
    finally:
        disk.close(fd)
    try:
        disk.rename(path + ".tmp", path)
        yield from disk.syncing_directory(directory)
    except OSError as error:
        raise Failed(f"{path}: cannot be replaced ({error})") from error


def strangers(disk: Disk, directory: str, manifest: Manifest) -> list[str]:
    """Names of journals and segments that are there and not listed: what a crash left unfinished."""
    listed = {file_name(number) for number, _ in manifest.journals}
    listed.update(name for entry in manifest.segments for name in entry.files)
    return [name for name in disk.listdir(directory)
            if name == NAME + ".tmp" or (is_data(name) and name not in listed)]


def is_data(name: str) -> bool:
    """Is this the name of a journal or of a segment's file?"""
    return name.startswith(("journal.", "segment.")) and name != SPARE
