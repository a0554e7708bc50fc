"""broken_journal: every valid batch of a journal that may be damaged, for --salvage.

A valid batch counts wherever it stands, also after a bad place, and also if only its mark is
damaged.  Where the header is damaged, the journal's mark is the one that most batches begin with.

Bad at: the last batches of the last journal, if they became zeros as a whole.  They look like
batches that were never written.
"""

from __future__ import annotations

from collections.abc import Iterator

from store.disk import Damaged, OtherVersion
from store.findings import Findings
from store.journal import (
    BATCH,
    HEADER_SIZE,
    MAGIC,
    Batch,
    Header,
    batch_at,
    file_name,
    later_batches,
    read_header,
    records,
)

MARK_AT, SEQ_AT = 42, 16  # in a journal's header; in a batch


class BrokenJournal:
    """The bytes of one journal.  `size` is its listed size, None for the last journal."""

    def __init__(self, path: str, data: bytes, number: int, size: int | None,
                 findings: Findings) -> None:
        self.path, self.data, self.size, self.findings = path, data, size, findings
        self.number = number  # that of its header, once that was read
        self.mark = b""

    def take(self, store: bytes) -> None:
        """Add the records of every valid batch to the findings.  Raises OtherVersion."""
        header = self._header()
        if header and store and header.store != store:
            self.findings.lost(f"{self.path}: left out: it is of another store")
            return
        if header and header.number != self.number:
            name = file_name(header.number)
            self.findings.say(f"{self.path}: it is {name}, in another's place")
            self.number, self.size = header.number, None
        self.mark = header.mark if header else likely_mark(self.data)
        end = HEADER_SIZE
        for batch in self._batches():
            if batch.offset != end:
                self._lose(f"{batch.offset - end} bytes at offset {end}")
            end = batch.end
            try:
                self.findings.entries.extend(records(self.data, batch, self.path))
            except Damaged as error:
                self._lose(f"the batch at offset {batch.offset}: {error.what}")
        self._look_at_end(end)

    def _lose(self, what: str) -> None:
        self.findings.lost(f"{self.path}: left out: {what}")

    def _header(self) -> Header | None:
        try:
            return read_header(self.data, self.path)
        except OtherVersion:
            raise
        except Damaged as error:
            self.findings.say(f"{self.path}: {error.what}: looking for batches all the same")
            return None

    def _batches(self) -> Iterator[Batch]:
        at = HEADER_SIZE
        while True:
            batch = batch_at(self.data, at, self.mark)
            if batch is None and (batch := _unmarked(self.data, at, self.mark)):
                self.findings.say(f"{self.path}: the mark at offset {at} is damaged, "
                                  "the batch is whole")
            batch = batch or next(later_batches(self.data, _marked(self.mark), at), None)
            if batch is None:
                return
            yield batch
            at = batch.end

    def _look_at_end(self, end: int) -> None:
        """Report what no valid batch explains after the last one, which ends at `end`."""
        if self.size is not None:
            if end < self.size:
                self._lose(f"{self.size - end} bytes at offset {end}")
        elif self.data.startswith(self.mark, end):
            self._lose(f"a batch at offset {end} that is torn, or damaged")
        elif end == HEADER_SIZE and any(self.data[end:]):
            self._lose(f"{len(self.data) - end} bytes at offset {end}, in which nothing is valid")


def _marked(mark: bytes) -> Header:
    """A header of which only the mark is known."""
    return Header(b"", 0, 0, mark)


def _unmarked(data: bytes, at: int, mark: bytes) -> Batch | None:
    """The batch at this offset that is valid but for its mark."""
    end = at + BATCH.size + int.from_bytes(data[at + len(mark):at + len(mark) + 4], "big")
    if not any(data[at:at + BATCH.size]) or end > len(data):
        return None
    found = batch_at(mark + data[at + len(mark):end], 0, mark)
    return found and found._replace(offset=at, start=at + found.start, end=at + found.end)


def likely_mark(data: bytes) -> bytes:
    """The mark that most batches have, where the header is damaged."""
    marks = [data[MARK_AT:MARK_AT + len(MAGIC)], data[HEADER_SIZE:HEADER_SIZE + len(MAGIC)]]
    found = {mark: sum(1 for _ in later_batches(data, _marked(mark), HEADER_SIZE))
             for mark in marks if len(mark) == len(MAGIC)}
    if not any(found.values()):
        found = _marks(data)
    return max(found, key=found.__getitem__, default=bytes(len(MAGIC)))


def _marks(data: bytes) -> dict[bytes, int]:
    """How many valid batches begin with each mark.

    A batch is found by its seq, which begins with zeros.  A text can be made to look like a batch,
    but the search skips whatever lies inside a batch."""
    found: dict[bytes, int] = {}
    at = data.find(b"\0\0", SEQ_AT)
    while at >= 0:
        mark = data[at - SEQ_AT:at - SEQ_AT + len(MAGIC)]
        batch = batch_at(data, at - SEQ_AT, mark) if any(mark) else None
        if batch:
            found[mark] = found.get(mark, 0) + 1
        at = data.find(b"\0\0", batch.end + SEQ_AT if batch else at + 1)
    return found
