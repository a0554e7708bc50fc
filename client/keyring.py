"""keyring: what a client remembers of daemons: keys of claimed names, and certificates.

Two text files in the state directory, mode 0600 in a directory of mode 0700, only ever appended to:

    keys            ADDRESS NAME SALT ITERATIONS KEY    a claimed name; the salted key of
                                                        net/scram.py, not the passphrase
                    ADDRESS NAME                        claimed no more
    known-daemons   ADDRESS FINGERPRINT                 the first certificate of a tls: address

Of two lines about the same thing the last one counts.  A key is found by its salt, which belongs to
one claim alone, so it serves at every address of the daemon.  expected() says whether an address
has asked for a key before: one that does not ask any more is another daemon, or the claim was taken
away from elsewhere.

Failure: RingError, one line.  Without a file to write to nothing is remembered, and the user types
the passphrase again.
Bad at: forgetting.  To let go of a daemon or a key, delete its lines with an editor.
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from client.private import check_private, private_directory

KEYS, KNOWN = "keys", "known-daemons"
FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FILE_MAX = 1 << 20          # bytes that are read: 8,000 names


class RingError(Exception):
    """One of the files can't be used: one line."""


class Keyring:
    """The files of one directory; without a directory, what this program has learnt so far."""

    def __init__(self, directory: str | os.PathLike[str] | OSError | None) -> None:
        """An OSError says why there is no directory: then nothing can be kept, and no certificate
        can be known."""
        self._lack = directory if isinstance(directory, OSError) else None
        self.directory = (None if directory is None or isinstance(directory, OSError)
                          else os.fspath(directory))
        self._said: dict[str, list[str]] = {KEYS: [], KNOWN: []}        # what no file has

    def key(self, name: str, salt: bytes, iterations: int) -> bytes | None:
        """The key of a claim."""
        found = None
        for line in self._lines(KEYS):
            words = line.split()
            if len(words) == 5 and words[1:4] == [name.lower(), salt.hex(), str(iterations)]:
                found = _bytes(words[4]) or found
        return found

    def expected(self, address: str, name: str) -> bool:
        """Whether this address is known to ask for the key of this name."""
        lines = map(str.split, self._lines(KEYS))
        claims = [len(words) == 5 for words in lines if words[:2] == [address, name.lower()]]
        return bool(claims) and claims[-1]

    def iterations(self, address: str, name: str) -> int | None:
        """How many this address has asked for, at the last key of this name."""
        kept = [words[3] for words in map(str.split, self._lines(KEYS))
                if len(words) == 5 and words[:2] == [address, name.lower()]]
        return int(kept[-1]) if kept and kept[-1].isdecimal() else None

    def keep(self, address: str, name: str, salt: bytes, iterations: int, key: bytes) -> None:
        """Remember a key.  Raises RingError."""
        self._append(KEYS, f"{address} {name.lower()} {salt.hex()} {iterations} {key.hex()}")

    def drop(self, address: str, name: str) -> None:
        """That name is claimed no more.  Raises RingError."""
        if self.expected(address, name):
            self._append(KEYS, f"{address} {name.lower()}")

    def fingerprint(self, address: str) -> str | None:
        """The certificate that an address had at first.

        Raises RingError: a file that can't be read does not make the certificate a new one."""
        known = [words[1] for words in map(str.split, self._lines(KNOWN))
                 if len(words) == 2 and words[0] == address]
        return known[-1] if known else None

    def pin(self, address: str, fingerprint: str) -> None:
        """Remember the certificate of an address.  Raises RingError."""
        self._append(KNOWN, f"{address} {fingerprint}")

    def path(self, file: str) -> str:
        """A file's name, for people."""
        return os.path.join(self.directory or "", file)

    # ---- the files ----

    def _lines(self, file: str) -> list[str]:
        if self.directory is None or not os.path.lexists(self.path(file)):
            return self._said[file]
        with self._open(file) as fd:
            text = os.pread(fd, FILE_MAX, 0).decode(errors="replace")
        return text.splitlines() + self._said[file]

    def _append(self, file: str, line: str) -> None:
        if self._lack:
            raise RingError(f"{file} cannot be kept: {self._lack.strerror}")
        self._said[file].append(line)
        if self.directory is not None:
            with self._open(file) as fd:
                size = os.fstat(fd).st_size
                torn = size and os.pread(fd, 1, size - 1) != b"\n"
                os.write(fd, b"\n" * bool(torn) + line.encode() + b"\n")
            self._said[file].remove(line)

    @contextlib.contextmanager
    def _open(self, file: str) -> Iterator[int]:
        assert self.directory is not None
        try:
            directory = private_directory(self.directory)
            try:
                fd = os.open(file, FLAGS, 0o600, dir_fd=directory)
            finally:
                os.close(directory)
            try:
                check_private(fd)
                yield fd
            finally:
                os.close(fd)
        except OSError as error:
            reason = error.strerror or error
            raise RingError(f"{self.path(file)} can't be used: {reason}") from None


def _bytes(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
