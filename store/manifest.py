"""manifest: the small file that says which journals and segments count.

    {"version": 1, "store": "32 hex digits", "generation": 7, "seq": 1048601,
     "journals": [[3, 88123], [4, null]],
     "segments": [[2, "dbm.gnu", {"segment.00000002": 90112}]],
     "lost": [[24, 1048600]]}
    crc32 of the line above, 8 hex digits

It is one line of JSON and its checksum.  The store replaces it as a whole: it writes the new one
beside the old, syncs it, renames it, and syncs the directory.  So there is always a manifest.  A
file that it does not list is the rest of something unfinished and may be removed.

A journal's size is null while it is the last, the one being written.
`seq` is a floor for new ids; it outlives the journals.
`lost` lists ids that a start passed over, the last LOST_MAX ranges of them: a message that had one
of these ids is not on the disk.

Fails with OSError when the new manifest cannot be written; then the old one stands.  Fails with
Failed when it cannot be told which of the two stands.
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
    line = json.dumps({"version": VERSION, "store": manifest.store.hex(),
                       "generation": manifest.generation, "seq": manifest.seq,
                       "journals": manifest.journals, "segments": manifest.segments,
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
        version = fields["version"]
        raise Damaged(name, 0, f"version {version} is not one that this program reads")
    journals = tuple((int(number), size) for number, size in fields["journals"])
    segments = tuple(Listed(int(number), backend, files)
                     for number, backend, files in fields["segments"])
    lost = tuple((int(first), int(last)) for first, last in fields.get("lost", ()))  # since 0.2
    return Manifest(bytes.fromhex(fields["store"]), int(fields["generation"]), int(fields["seq"]),
                    journals, segments, lost)


def load(disk: Disk, directory: str) -> Manifest | None:
    """The manifest, or None for a new store.

    A store that has journals or segments but no manifest is Damaged, never new."""
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
    """`save` as the steps of a task."""
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


def unlisted(disk: Disk, directory: str, manifest: Manifest) -> list[str]:
    """Names of journals and segments that are not listed: what a crash left unfinished."""
    listed = {file_name(number) for number, _ in manifest.journals}
    listed.update(name for entry in manifest.segments for name in entry.files)
    return [name for name in disk.listdir(directory)
            if name == NAME + ".tmp" or (is_data(name) and name not in listed)]


def is_data(name: str) -> bool:
    """Whether this is the name of a journal or of a segment's file."""
    return name.startswith(("journal.", "segment.")) and name != SPARE
