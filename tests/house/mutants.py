"""Mutants: the program with one of its safeguards taken out.  Each must be caught by `make test`.

    python3 tests/house/mutants.py             run them all; print the table
    python3 tests/house/mutants.py --write     and put it into HACKING
    python3 tests/house/mutants.py WORD ...    only those whose name has one of the words

A mutant is a file, a text that occurs in it exactly once, and what stands there instead.  The tests
are run on a copy of the tree: first the modules that are likely to catch it, which must pass
without it, then all the others.  One that no test catches is a hole in the tests, and makes the
exit status 1.  tests/house/test_mutants.py holds the texts, and the table in HACKING, to the tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parents[2]
SECONDS = 900  # for one run of tests; a mutant that takes longer hangs, and that is told apart
TABLE = re.compile(r"(?<=\n)    MUTANT +CAUGHT BY\n(?:    .*\n)+")


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    likely: str  # modules of tests


POWER = "test_power"
MUTANTS = [Mutant(*row) for row in (
    # what must be on the disk before anything is said
    ("journal: the fdatasync", "store/journal.py",
     "return self.disk.begin_datasync(self.number, self.fd)", "return True",
     POWER),
    ("journal: the fsync of a new file", "store/journal.py",
     "            yield from disk.syncing(fd)\n            if recycled",
     "            if recycled", POWER),
    ("journal: the directory of a new file", "store/journal.py",
     "disk.rename(spare, path)\n            yield from disk.syncing_directory(directory)",
     "disk.rename(spare, path)", POWER),
    ("journal: the fsync when it is finished", "store/journal.py",
     "            self.disk.truncate(self.fd, self.offset)\n"
     "            yield from self.disk.syncing(self.fd)",
     "            self.disk.truncate(self.fd, self.offset)\n            yield None", POWER),
    ("journal: what the sync covers", "store/progress.py",
     "done, self.syncing = self.syncing, None", "done, self.syncing = self.written, None", POWER),
    ("journal: the end of the sync", "store/journals.py", "ended = self.current.sync_ended(wait)",
     "ended = True", POWER),
    ("segment: the fsync of its files", "store/writer.py",
     "            yield from self._sync_file(name)\n            yield None\n",
     "            yield None\n", POWER),
    ("segment: the fsync while it grows", "store/writer.py", "if self._unsynced >= SYNC_EVERY:",
     "if False:", "test_segment"),
    ("segment: the directory", "store/writer.py",
     "        yield from self.disk.syncing_directory(self.directory)\n", "",
     POWER),
    ("manifest: the fsync", "store/manifest.py", "        yield from disk.syncing(fd)\n", "",
     POWER),
    ("manifest: the directory", "store/manifest.py",
     "        yield from disk.syncing_directory(directory)\n", "", POWER),
    ("recovery: the fsync of what was found", "store/recovery.py",
     "            self.disk.sync(fd)\n", "", POWER),
    ("recovery: the directory with what was found", "store/recovery.py",
     "            self.disk.sync_directory(self.directory)\n", "            pass\n",
     "test_recovery"),
    ("recovery: the directory that the store is in", "store/recovery.py",
     "disk.sync_directory(os.path.dirname(directory))", "pass", POWER),
    ("reserve: the fsync", "store/reserve.py", "            self.disk.sync(fd)\n", "",
     "test_mailbox"),
    ("upkeep: a seal without what it tells of", "store/upkeep.py",
     "        yield from journals.durable()\n        yield from journals.listing(later",
     "        yield from journals.listing(later", "test_syncer"),
    # what is checked when it is read
    ("journal: the checksum of a batch", "store/journal.py", "if found == crc else None",
     "if True else None", "test_journal"),
    ("journal: the seed of the checksum", "store/journal.py", "return crc32(mark) | 1", "return 0",
     "test_journal"),
    ("journal: the checksum of the header", "store/journal.py",
     "if crc32(data[:HEADER.size], 1) != CRC.unpack_from(data, HEADER.size)[0] or magic",
     "if magic", "test_journal"),
    ("journal: records fill their batch", "store/journal.py", "if offset != end or seq != last:",
     "if False:", "test_journal"),
    ("journal: seqs only grow", "store/journal.py", "and batch.seq > after", "and True",
     "test_journal"),
    ("journal: damage is no tear", "store/journal.py", "if batch.settled > last or", "if",
     "test_journal"),
    ("journal: a tear is no damage", "store/journal.py", "if batch.settled > last or", "if True or",
     "test_journal"),
    ("journal: its listed size", "store/journal.py", "if size is not None and len(data) != size:",
     "if False:",
     "test_journal"),
    ("journal: whole to its listed size", "store/journal.py",
     "if self.size is not None and end != self.size:", "if False:",
     "test_journal"),
    ("journal: of this store, of this number", "store/journal.py",
     "if (self.header.store, self.header.number) != (store, number):", "if False:", "test_journal"),
    ("segment: the checksum of a value", "store/segment.py",
     "if data[:CRC.size] != CRC.pack(crc32(body, start_of(self.seed, self.number, key))):",
     "if False:", "test_segment"),
    ("segment: a value belongs to its key", "store/segment.py",
     'crc32(b" %d %s" % (segment, key), seed)', "seed", "test_segment"),
    ("segment: held before it is written", "store/writer.py",
     "        try:\n            self._hold()\n        except",
     "        try:\n            pass\n        except", "test_device_errors"),
    ("segment: compared with the disk", "store/writer.py",
     "            self.disk.forget(os.path.join(self.directory, name))\n", "            pass\n",
     "test_device_errors"),
    ("mailbox: what cannot be read stays unread", "store/shelf.py",
     "            if page.damaged:\n                parts.append([])\n", "", "test_unreadable"),
    ("user: a page that cannot be read waits", "store/user.py",
     "last)) or page.damaged:", "last)):", "test_unreadable"),
    ("segment: reading it back", "store/writer.py", "yield from self._verify()", "yield",
     "test_segment"),
    ("segment: the sizes of its files", "store/segment.py", "            if found != size:",
     "            if False:", "test_segment"),
    ("segment: a page is where the index says", "store/shelf.py",
     "if end > len(data) or PAGE.unpack_from(data, page.offset)[1] != page.entries:", "if False:",
     "test_segment"),
    ("manifest: the checksum", "store/manifest.py", 'if rest != b"%08x\\n" % crc32(line):',
     "if False:", "test_damage"),
    ("manifest: missing is not new", "store/manifest.py",
     "if any(is_data(name) for name in names):", "if False:", "test_recovery"),
    # watermarks, seqs, order
    ("mailbox: ids jump at a start", "store/recovery.py",
     "last = self.last + (ID_JUMP if found.journals or found.segments else 0)", "last = self.last",
     "test_recovery"),
    ("upkeep: ids jump at a roll", "store/journals.py",
     "first, number = progress.base + ID_JUMP,", "first, number = progress.base,",
     "test_syncer"),
    ("mailbox: the manifest keeps the seq", "store/journals.py",
     "generation + 1, max(self.progress.last, seq),", "generation + 1, 0,", "test_recovery"),
    ("upkeep: ids stay when a roll fails", "store/journals.py",
     "self.progress.synced_all()\n        self.ends",
     "self.progress.synced_all()\n        self.progress.last = self.progress.written\n"
     "        self.ends", "test_ids"),
    ("mailbox: ids that were refused count", "store/journals.py",
     "if progress.said >= progress.last:", "if progress.said >= progress.synced:", "test_ids"),
    ("upkeep: nothing is written while a roll ends", "mailbox.py",
     "\n                and not progress.is_ending):", "):", "test_syncer"),
    ("upkeep: nor at a stop", "mailbox.py", " and not self.progress.is_ending:", ":",
     "test_syncer"),
    ("upkeep: closing waits for the end of a roll", "mailbox.py", "self.upkeep.end_roll()", "pass",
     "test_syncer"),
    ("daemon: it says on the disk what is settled", "server/chores.py",
     "inf if self.mailbox.settle() else", "inf if True else", "test_syncer"),
    ("daemon: who is owed too much is not read", "daemon.py", "if owes_much(connection.client):",
     "if False:", "test_syncer"),
    ("daemon: who asks too much of the disk is held", "daemon.py",
     "and unfinished.hold(connection, now)):", "and False):",
     "test_syncer"),
    ("unfinished: who fills the journals waits", "server/unfinished.py",
     "        self.filling[connection] = None\n        self._pause(connection)\n"
     "        return True\n", "        return False\n", "test_usage"),
    ("progress: too long journals take nothing", "store/progress.py",
     "UNSYNCED_BYTES or self.held > self.full_at\n", "UNSYNCED_BYTES\n", "test_usage"),
    ("usage: what was put while it was sealed", "rules/usage.py",
     "usage.put if times == 1 else 0, 0", "usage.put and 0, 0",
     "test_usage"),
    ("usage: long texts are work in the end", "rules/usage.py", "if usage.free < size:",
     "if False:", "test_usage"),
    ("delivery: unread of a login has a bound", "rules/delivery.py",
     "is_clogged := client.usage.unsent >= LOGIN_UNSENT:", "is_clogged := False:", "test_usage"),
    ("connection: a clogged login is not read", "server/connection.py",
     "and client.usage.unsent >= LOGIN_UNSENT", "and False", "test_usage"),
    ("connection: who goes leaves nothing unsent", "server/connection.py",
     "        self._count(0)\n", "", "test_usage"),
    ("connection: what a turn reads has a bound", "server/connection.py",
     "max(LEAST_READ, TURN_READ // connections)", "READ_SIZE", "test_usage"),
    ("mailbox: what is settled", "store/progress.py", "else min(self.synced, self.due - 1)",
     "else self.due - 1", "test_syncer"),
    ("mailbox: reads that failed are due", "store/progress.py", "        if not reads:\n",
     "        if True:\n", "test_mailbox"),
    ("mailbox: a failed sync is final", "store/journals.py",
     "            raise self.failed\n        progress = self.progress\n"
     "        if progress.syncing is",
     "            pass\n        progress = self.progress\n        if progress.syncing is",
     "test_mailbox"),
    ("seal: only what was rolled", "store/seal.py",
     "tail = user.tail[:bisect_right(user.tail, self.upto, key=BY_ID)]",
     "tail = list(user.tail)", "test_recovery"),
    ("mailbox: every journal is listed", "store/journals.py",
     "listed = (*old, (journal.number, None))", "listed = ((journal.number, None),)",
     "test_recovery"),
    ("upkeep: a segment is unlisted before it goes", "store/upkeep.py",
     "            yield from journals.listing(journals.old, self._listed_without(numbers))\n"
     "            for number in numbers:\n                self._forget(number)\n",
     "            for number in numbers:\n                self._forget(number)\n"
     "            yield from journals.listing(journals.old, self._listed_without(numbers))\n",
     POWER),
    ("syncer: the end of the fsync", "store/syncer.py", "while not self._tasks.has_ended():",
     "while self._tasks.has_ended():", "test_syncer"),
    ("disk: a place that can't sync a directory", "store/disk.py", "if error.errno in CANNOT:",
     "if False:", "test_mailbox"),
    ("disk: a store that was replaced", "store/disk.py", "if found != (held.directory, held.file):",
     "if False:", "test_swapped"),
    ("segment: dbm.dumb leaves what was replaced", "store/writer.py",
     "self._database._modified = False", "pass", "test_swapped"),
    ("syncer: a child that is gone", "store/syncer.py",
     "        if not self._answer:\n            raise self._gone()\n", "",
     "test_children test_syncer"),
    ("upkeep: the newest segment stays", "store/upkeep.py",
     "if not segment.unread and number != newest", "if not segment.unread", "test_recovery"),
    ("recovery: a tear is cut off", "store/recovery.py",
     "                self.disk.truncate(fd, end)\n", "                pass\n", POWER),
    ("recovery: journals of an earlier crash", "store/recovery.py", "in self.manifest.journals:",
     "in self.manifest.journals[-1:]:", "test_recovery"),
    ("recovery: what is read is not counted", "store/seal.py",
     "page.unread = 0 if covered else page.messages",
     "page.unread = page.messages", "test_recovery"),
    ("seal: what is read stays behind", "store/seal.py",
     "yield from user.unread_of(mails)",
     "yield from mails", "test_mailbox"),
    ("seal: what is carried is counted", "store/seal.py",
     "            self.census.count(user, [page])\n", "", "test_census"),
    ("mailbox: a page is counted before it is read", "mailbox.py",
     "            self.census.count(user, user.overlapping(first, last))\n", "", "test_census"),
    ("batch: what was refused does not wait", "store/batch.py",
     "                    census.take([mail])\n", "", "test_census"),
    ("census: the last tenth is for others", "store/census.py",
     "room // LAST // LITTLE if is_tight else room // PART", "room // PART", "test_census"),
    ("post: what waits of one login has a limit", "rules/post.py",
     "            raise Unfit(Why.FULL, OVER)\n", "            pass\n", "test_usage"),
    ("seal: read while it was sealed", "store/seal.py", "for first, last in spans:",
     "for first, last in ():", "test_costs"),
    ("seal: read while its pages were counted", "store/seal.py",
     "        for page in self._touched(user):\n"
     "            count_unread(user, page, self.shelf)\n        new =",
     "        new =", "test_costs"),
    ("seal: watermarks and origins move along", "store/seal.py",
     "for part in user_records(self.users[number]):",
     "for part in list(user_records(self.users[number]))[:1]:", "test_recovery"),
    ("user: a watermark only rises", "store/user.py",
     "self.watermark = max(watermark, self.watermark)\n",
     "self.watermark = watermark\n", "test_mailbox"),
    ("user: ranges with a gap stay two", "store/user.py", "first <= whole[-1][1] + 1",
     "first <= whole[-1][1] + 2", "test_recovery"),
    ("user: a gap in which something waits", "store/user.py",
     "while low and not self.waits_between(ranges[low - 1][1] + 1, first - 1, load):", "while low:",
     "test_recovery"),
    ("user: which counters were put", "store/user.py",
     "return origin - counter + max(first, counter)", "return origin", "test_post test_mailbox"),
    ("user: the later setting holds", "store/user.py", "if seq < self.set_at.get(kind, 0):",
     "if False:", "test_mailbox test_recovery"),
    ("segment: a heading stays with its message", "store/writer.py",
     "flags |= HEADING if mail.heading else 0", "pass", "test_headings"),
    ("records: the heading of a room", "store/records.py",
     "if not is_room(mail.heading):", "if True:", "test_headings"),
    ("headings: what it weighs", "store/mail.py",
     "    size += len(mail.heading) * messages\n", "", "test_usage"),
    ("delivery: one form for those who know it", "rules/runs.py",
     "if flags & NAMED and mail.heading:", "if mail.heading:", "test_post test_wire"),
    # a full or failing disk
    ("journal: a refused batch is cut back", "store/journal.py",
     "            self.disk.truncate(self.fd, self.offset)\n        except OSError as worse",
     "            pass\n        except OSError as worse", "test_journal"),
    ("journal: a short write is continued", "store/journal.py", "            done += wrote",
     "            done += need", "test_journal"),
    ("mailbox: refused mail is taken back", "store/batch.py",
     "user.tail[-1].id >= self.progress.base", "user.tail[-1].id > self.progress.last",
     "test_mailbox"),
    ("mailbox: refused origins are forgotten", "store/batch.py",
     "        self.origins: dict[int, list[Range]] = {}",
     "        self.origins: dict[int, list[Range]] = getattr(self, 'origins', {})",
     "test_post test_mailbox"),
    ("mailbox: refused settings are taken back", "store/batch.py",
     "user.settings, user.set_at = settings, set_at", "pass", "test_mailbox"),
    ("mailbox: the reserve is given up", "store/shortage.py",
     "            self.reserve.give_up()", "            pass", "test_mailbox"),
    ("mailbox: no mail without the reserve", "mailbox.py",
     "        if self._shortage.reason is not None or progress.last > progress.most:\n"
     "            raise Full(self.refusal or \"\")\n        copies, number",
     "        copies, number", "test_mailbox"),
    ("room: what waits must find room", "store/room.py",
     "    if need(size, found.records, found.backend) > found.free:",
     "    if False:", "test_mailbox"),
    ("room: mail leaves room to seal it", "store/upkeep.py",
     "and not self.budget.has_room():", "and False:", "test_room"),
    ("room: what is read most is carried", "store/room.py",
     "            carried.append(segment.number)\n", "            pass\n", "test_room"),
    ("room: what is read has a bound", "store/room.py",
     "is_small and wasted <= spare and", "is_small and", "test_waste"),
    ("upkeep: reading alone is a reason to seal", "store/upkeep.py",
     " or self.budget.is_wasteful:", ":", "test_waste"),
    ("segment: what waits is told in bytes", "store/segment.py",
     "number, own, shared = measure(mails)", "number, own, shared = measure(mails)[0], 0, 0",
     "test_waste"),
    ("upkeep: only the journals that were sealed go", "store/upkeep.py",
     "journals.old[:plan.journals], journals.old[plan.journals:]",
     "journals.old[:plan.journals], []", "test_mailbox"),
    ("upkeep: only what they hold is sealed", "store/upkeep.py",
     "upto = max([journals.ends[number] for number, _ in sealed], default=0)",
     "upto = journals.progress.synced", "test_mailbox"),
    ("upkeep: it rests at a stop", "server/chores.py",
     "            self.mailbox.rest()\n", "            pass\n", "test_rest"),
    ("upkeep: it rests after a while of quiet", "store/upkeep.py",
     "self._is_due() or self._is_quiet() or", "self._is_due() or",
     "test_rest"),
    ("upkeep: rest costs little", "store/upkeep.py",
     "        if now - self.rested_at < self", "        if now < 0 * self", "test_rest"),
    ("mailbox: the last blocks are for a start", "store/shortage.py", "        if grows > 0 and",
     "        if False and", "test_mailbox"),
    ("upkeep: the reserve for it is given up", "store/shortage.py",
     "        self.seal_reserve.give_up()\n", "        pass\n", "test_room"),
    ("reserve: it is whole", "store/reserve.py", "if self.disk.size(self.path) == SIZE:",
     "if True:", "test_mailbox"),
    ("reserve: room beside it", "store/reserve.py", "if self.disk.free(self.directory) < LOOK:",
     "if False:",
     "test_mailbox"),
    # the turn
    ("daemon: write before push", "daemon.py",
     "        self._write()\n        self.board.push()\n",
     "        self.board.push()\n        self._write()\n", "test_post test_daemon"),
    ("daemon: answers wait for the sync", "daemon.py", "self.board.settle(settled)",
     "self.board.settle(self.mailbox.last)", "test_syncer test_daemon"),
    ("promises: they wait for the sync", "rules/promises.py", "and self._unsettled[0][0] <= seq:",
     ":", "test_post test_syncer"),
    ("post: refused is not stored", "rules/promises.py",
     "if (client.user.number, origin) in refused:", "if False:", "test_post"),
    ("post: a repeat is not stored again", "rules/post.py", "if known == first:", "if False:",
     "test_post"),
    # runs
    ("journal: a record takes several seqs", "store/journal.py", "        seq += seqs\n",
     "        seq += 1\n", POWER),
    ("records: all origins of a run are known", "store/records.py",
     "mark(origin, origin + last - seq)", "mark(origin, origin)", POWER),
    ("mailbox: what is left of a run stays", "store/user.py",
     "rest.append(after.part(last + 1, after.last))", "pass", POWER),
    ("mail: a part has its own origins", "store/mail.py", "self.origin and self.origin + start",
     "self.origin", POWER),
    ("mail: a part of a part", "store/mail.py", "max(self.skip, 0) + start)", "start)",
     "test_mailbox"),
    ("user: where a run is read in its middle", "store/user.py",
     "                start = high + 1\n", "                start = high\n", POWER),
    ("segment: parts of a run share no body", "store/writer.py", "place = self._bodies[id, last]",
     "place = next(at for key, at in self._bodies.items() if key[0] == id)", "test_segment"),
    # limits
    ("frames: the length of a frame", "net/frames.py", "if not 1 <= length <= limit:",
     "if not 1 <= length:", "test_wire"),
    ("fields: a word ends in its frame", "net/fields.py", "    if end > len(frame):\n",
     "    if False:\n", "test_wire"),
    ("wire: nothing after the last field", "net/codec.py", "    if at != len(frame):\n",
     "    if False:\n", "test_wire"),
    ("texts: the length of a text", "net/texts.py", "if size > TEXT_MAX:", "if False:",
     "test_wire"),
    ("mailbox: the length of texts", "mailbox.py", "if len(body) > ENTRY_MAX:", "if False:",
     "test_mailbox"),
    ("mailbox: the length of a name", "mailbox.py", "if not 0 < len(name.encode()) <= NAME_MAX:",
     "if False:",
     "test_mailbox"),
    ("mailbox: how much may be unsynced", "store/progress.py",
     "else self.synced + UNSYNCED_MAX",
     "else 1 << 62", "test_syncer"),
    ("user: instances remembered", "store/user.py", "if not runs and len(origins) > INSTANCES:",
     "if False:", "test_mailbox"),
    ("user: errands push out errands alone", "store/user.py",
     "if (each >= ERRANDS) == (instance >= ERRANDS)]", "]", "test_errands"),
    # to whom mail is given
    ("claims: claimed names only, over TCP", "rules/claims.py",
     "if self.identity.tcp_claimed and not is_at_socket(caller):", "if False:", "test_identity"),
    ("ignore: the other names of a login", "rules/ignore.py",
     "return sender.number in ignored or self.owners.login(sender) in self.logins(user)",
     "return sender.number in ignored", "test_ignore"),
    ("dial: who listens at a default place", "client/dial.py",
     "if address.default and uid not in places.believed():", "if False:", "test_places"),
    ("dial: who listened before", "client/dial.py",
     "if before is not None and uid != before:", "if False:", "test_places"),
    ("dial: whose directory it is", "client/dial.py", "if whose := places.foreign(address):",
     "if whose := '':", "test_neighbours"),
    ("places: who can have made /run/parley", "net/places.py",
     "made_by_root = above.st_uid == 0 and not above.st_mode & 0o022",
     "made_by_root = True", "test_places"),
    ("route: once let in, that address alone", "client/route.py",
     "self._addresses, self._is_known = [self.address], True",
     "self._is_known = True", "test_connection"),
    ("login: the number of the store", "client/login.py",
     "if self._home and said.store not in (self._home[0], self._accepted):", "if False:",
     "test_link"),
    ("gathering: the rate of a login", "server/gathering.py",
     "or self._room.level(login, now) > 0", "or True", "test_gathering"),
    ("door: noted before the roster forgets", "rules/door.py",
     'self.note("errand-over" if is_errand else "disconnected", name=client.name,',
     'self.note("errand-over" if is_errand else "disconnected", name="",', "test_gathering"),
    ("delivery: a check waits for another", "rules/delivery.py",
     "if client in self.errands.checks and self.errands.has_to_wait(client):", "if False:",
     "test_errands"),
    ("delivery: confirmed by one, gone for all", "rules/delivery.py",
     "for reader in (client, *self.errands.beside(client)) if self.errands.of else (client,):",
     "for reader in (client,):", "test_errands"),
    ("errands: live messages are the session's", "rules/errands.py",
     "if session is None or session.holding:", "if True:", "test_errands"),
    ("errands: a check waits so long", "rules/errands.py", "if now >= until]", "if False]",
     "test_errands"),
    ("door: who is the same user", "rules/door.py",
     "return self.claims.is_owner(name, user, caller.uid, takes=other is None)",
     "return self.claims.is_owner(name, user, caller.uid, takes=True)", "test_errands"),
    ("link: one login takes", "client/link.py",
     "        self._taking = 0            # not", "        pass            # not",
     "test_link"),
    ("scram: what a proof is bound to", "net/scram.py",
     'f"p={self.name},,".encode() + self.data if', 'f"p={self.name},,".encode() if', "test_scram"),
    ("proofs: what the daemon knows is compared", "client/proofs.py",
     "if known != said:", "if False:", "test_proofs"),
    ("proofs: the fewest iterations", "client/proofs.py",
     "if not least <= asked <= scram", "if not 0 <= asked <= scram", "test_proofs"),
    ("proofs: a question that was kept from us", "client/proofs.py",
     "binding.before, scram.STRIPPED", 'binding.before, b""', "test_proofs"),
    ("claims: the same work for every name", "rules/claims.py",
     "fake, claim = self._fake(hello.name), self._claim(user)",
     "claim = self._claim(user); fake = claim or self._fake(hello.name)", "test_identity"),
    ("claims: a question that was kept from them", "rules/claims.py",
     " and not was_stripped", "", "test_identity"),
    ("sockets: the lock from the look to listen", "server/sockets.py",
     "fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)",
     "pass", "test_sockets"),
    ("sockets: the file of another stays", "server/sockets.py",
     "if file is not None and file_at(path) == file:", "if file is not None:", "test_sockets"),
    ("owners: the names of one login", "rules/owners.py",
     "return 0 < self.each <= self.names_of(uid)", "return False", "test_hosts"),
    ("uids: who is one", "net/uids.py", "return self._ranges[place - 1].login", "return uid",
     "test_uids"),
    ("claims: a uid that may be anybody's", "rules/claims.py",
     "caller.uid == self.identity.untold:", "False:", "test_uids"),
    ("guesses: the tries of one host", "rules/claims.py",
     "if seconds := self.guesses.wait(caller.host, now.monotonic):", "if seconds := 0:",
     "test_identity"),
    ("doors: the rate of a storm", "server/doors.py", "self._callers.take(place, now)", "pass",
     "test_limits"),
    ("handshakes: one step in a turn", "server/handshakes.py",
     "        self._has_worked = True\n", "", "test_handshakes"),
    ("handshakes: a part of the time", "server/handshakes.py",
     "self._next_at = now + REST * took", "self._next_at = now", "test_handshakes"),
    ("handshakes: a part for each host", "server/handshakes.py",
     "self._time.take(handshake.host, now, 1000 * took)", "pass", "test_handshakes"),
    ("handshakes: what has begun goes first", "server/handshakes.py",
     "each.has_begun))", "0))", "test_handshakes"),
    ("tls: what came with the end of the handshake", "net/tls.py", "if not self._in.pending:",
     "if True:", "test_handshakes"),
    ("daemon: what was closed in this turn", "daemon.py",
     "elif self.selector.get_map().get(key.fd) == key:", "elif True:", "test_handshakes"),
    ("usage: who is gone is forgotten", "rules/usage.py", "if len(self._gone) > GONE_MAX:",
     "if False:", "test_usage"),
    ("pool: who came first goes first", "server/pool.py", "return next(iter(of_host))",
     "return member", "test_daemon"),
    ("strangers: a proof has a place of its own", "server/strangers.py",
     "            connection.question = entered\n            self._put(connection, self.known)\n",
     "            connection.question = entered\n", "test_daemon"),
    ("doors: a file that is gone", "server/doors.py",
     "            if found is None:\n                self._open_again(door)",
     "            if found is None:\n                pass", "test_sockets"),
    # shown once
    ("inbox: copies are known by the archive", "client/inbox.py", "if self._archive.has(mail):",
     "if key in self._archive.unconfirmed:", "test_twice"),
    ("contents: a copy has the same text", "client/contents.py",
     "(found.sender, found.origin, found.text) == wanted",
     "(found.sender, found.origin) == wanted[:2]", "test_archive"),
    ("archive: a file that was replaced", "client/archive.py",
     "                if os.fstat(self._fd).st_nlink:\n                    yield",
     "                if True:\n                    yield", "test_forget"),
    ("contents: a copy of what was forgotten", "client/contents.py", "if found.is_of(mail):",
     "if False:", "test_forget"),
    ("forget: synced before it has the name", "client/forget.py",
     "                sync(out)\n                with", "                with", "test_forget"),
    ("forget: what is left of a message", "client/forget.py",
     "return history.line(history.gone(record)).encode()", 'return b""', "test_forget"),
    ("archive: what another client kept", "client/archive.py",
     "            self._contents.read_on()\n            fresh", "            fresh",
     "test_archive"),
    ("contents: the index is of this file", "client/contents.py",
     "if found.sign != _sign(self._fd, found.upto):", "if False:",
     "test_archive"),
    ("archive: synced before it counts", "client/archive.py",
     "        if self._unmarked:\n            self._fsync(fd)\n", "",
     "test_archive"),
    # what a hostile daemon can make a client hold
    ("known: the bytes of the log", "client/known.py", "elif self._size < NAMES_BYTES:",
     "elif True:", "test_bounds"),
    ("known: the connected users", "client/known.py",
     "elif name in present or len(present) < PRESENT_MAX:", "elif True:", "test_bounds"),
    ("known: pages without end", "client/known.py", "if self._paged > PAGED_MAX:", "if False:",
     "test_bounds"),
    ("inbox: the bytes that are not shown", "client/inbox.py",
     " or self._size > UNSHOWN_BYTES:", ":", "test_bounds"),
    ("inbox: the ranges without CONFIRMED", "client/inbox.py",
     "while self._awaited > CONFIRMING_MAX:", "while False:", "test_bounds"),
    ("archive: the messages without CONFIRMED", "client/archive.py",
     "while len(self.unconfirmed) > UNCONFIRMED_MAX:", "while False:", "test_bounds"),
    ("index: the places of one id", "client/index.py",
     "elif place not in places and len(places) < PLACES_MAX:", "elif place not in places:",
     "test_bounds"),
    ("index: the instances in memory", "client/index.py",
     "return len(self._recent) + len(self._tops)", "return len(self._recent)", "test_bounds"),
    ("outbox: who was away", "client/outbox.py", "send.absent |= gone & to", "send.absent |= gone",
     "test_bounds"),
    ("validity: the longest text", "client/validity.py",
     "if kind in TEXTS and len(TEXTS[kind](said).encode()) > wire.TEXT_MAX:", "if False:",
     "test_bounds"),
    ("invitations: how many are open", "ui/invitations.py",
     "if len(self._open) < OPEN_MAX and", "if", "test_bounds"),
    ("invitations: their members", "ui/invitations.py", " and members <= MEMBERS_MAX:", ":",
     "test_bounds"),
    ("invitations: who accepted", "ui/invitations.py",
     "if invitation and event.by in invitation.members:", "if invitation:", "test_bounds"),
    ("pane: the bytes of the entries", "ui/scrollback.py", "self._total > BYTES_MAX and len",
     "False and len", "test_bounds"),
    ("pane: the rows that are remembered", "ui/pane.py", "if self._count >= ROWS_MAX:",
     "if False:", "test_bounds"),
    ("connection: a slice of time", "client/connection.py",
     "            if self._now() >= until:\n                return\n", "", "test_bounds"),
    ("link: a deadline in a flood", "client/link.py",
     "        try:\n            self._events += self._connection.tick()",
     "        if self._connection.is_behind:\n            return self.ready(0)\n"
     "        try:\n            self._events += self._connection.tick()", "test_bounds"),
    ("waiter: a slice of time", "client/waiter.py",
     "            if time.monotonic() >= until:\n                return\n", "", "test_bounds"),
    ("index: the checksum of a block", "client/index.py",
     "CRC.unpack_from(data)[0] != crc32(data[CRC.size:])", "False", "test_index"),
    ("user: what was forgotten counts as put", "store/user.py",
     "return (0, runs[-RUNS_MAX][1]), *runs[1 - RUNS_MAX:]",
     "return runs[-RUNS_MAX:]", "test_mailbox"),
    ("post: what was forgotten is refused", "rules/post.py",
     "if client.user.is_vague(first):", "if False:", "test_twice"),
    ("post: stored whatever the text", "rules/post.py",
     "if self.mailbox.known(client.user, origin)[0] == origin:", "if False:", "test_post"),
    ("delivery: the number goes before the check", "rules/delivery.py", """\
        self._tell_waiting()
        stirred, self.stirred = self.stirred, {}
""", """\
        stirred, self.stirred = self.stirred, {}
        if not stirred:
            self._tell_waiting()
""", "test_delivery"),
    ("delivery: a check begins when there is room", "rules/delivery.py",
     "window.checking = window.check(said.request)",
     "window.checking = Stream(0, self.mailbox.last if client.holding else window.live.start, "
     "window.check(0).flags, said.request)", "test_delivery"),
    ("delivery: what waited stays for a check", "rules/delivery.py",
     "start = min(start, hello.above)", "start = 0", "test_delivery"),
    ("delivery: what is live does not count as waiting", "rules/delivery.py",
     "client.checkable -= client.user.waiting_above(start, self.mailbox.unread)", "pass",
     "test_delivery"),
    ("link: HELLO to a daemon that knows no RESUME", "client/link.py",
     "    if said.why == Why.OTHER:\n", "    if False:\n", "test_link"),
    ("promises: WELCOME counts when it is said", "rules/promises.py",
     "welcome._replace(waiting=client.waiting)", "welcome", "test_delivery"),
    ("switchboard: a ghost is sent nothing", "rules/switchboard.py",
     "if not client.has_left:\n                self", "if True:\n                self",
     "test_delivery"),
    ("connection: who says no more is answered", "server/connection.py",
     "if self.client is None or self.is_gone(said_all=False):", "if True:", "test_partings"),
    ("partings: a check and a list are answered", "server/partings.py",
     "or not self.board.is_answering(client):", "or True:", "test_partings"),
    ("partings: a check behind a full socket", "rules/switchboard.py",
     "            or client in self.delivery.clogged)", "            )", "test_usage"),
    ("partings: outcomes of many names", "rules/switchboard.py",
     " or self.promises.is_sending(client)", "", "test_partings"),
    ("heartbeat: who says no more has its time", "server/heartbeat.py",
     "if connection.closing if has_left else connection.ended:",
     "if has_left and connection.closing:", "test_partings"),
    ("roster: one that is told something goes first", "rules/roster.py",
     "if self.crowd.waiting and self.crowd.drop(client):", "if False:", "test_slices"),
    ("roster: one that leaves is told all before", "rules/roster.py",
     "            self.speaking.append(client)        # it is", "            pass        # it is",
     "test_slices"),
    ("slices: a step ends", "rules/slices.py",
     "                    if spent >= STEP:\n                        break\n", "", "test_slices"),
    ("rooms: only members write", "rules/audience.py",
     "if room is None or client.user.number not in room.members:", "if room is None:",
     "test_rooms"),
    ("rooms: the queue is cut after the write", "rules/post.py",
     "                self.rooms.said(audience.room)\n",
     "                self.rooms.said(audience.room)\n                self.rooms.trim()\n",
     "test_rooms"),
    ("rooms: members of another room of that name", "rules/rooms.py",
     "if room and room.generation == generation:", "if room:", "test_rooms"),
    ("rooms: what was refused is not so", "rules/switchboard.py",
     "            self.rooms.load()\n", "", "test_rooms"),
    ("rooms: who is in the group no more", "rules/rooms.py",
     "return room.gid not in self.groups.gids(uid)", "return False", "test_rooms"),
    ("fanout: before a later message", "store/fanout.py",
     "            self.reach(user)\n            user.queue(mail)", "            user.queue(mail)",
     "test_everyone"),
    ("batch: a message on its way is undone", "store/batch.py",
     "        self.fanout.finish()\n", "", "test_everyone"),
    ("delivery: a message on its way is pushed", "rules/delivery.py",
     "if fanout.mail is not None:", "if False:", "test_everyone"),
    ("delivery: a long queue is confirmed in parts", "rules/delivery.py",
     "if said.last - said.first < WINDOW or", "if True or", "test_slices"),
    ("delivery: the number before a check", "rules/delivery.py",
     "if check is not None and check.upto == EVER:", "if False:", "test_delivery"),
    ("pace: what comes in has a bound", "server/pace.py",
     "self._late = {key.fd: n for n, (key, _) in enumerate(ready[place:])}", "pass",
     "test_slices"),
    ("delivery: no CONFIRMED for what was lost", "rules/delivery.py",
     "list(self.mailbox.kept(said.first, said.last))", "[(said.first, said.last)]", "test_twice"),
    ("mailbox: what was lost is remembered", "store/recovery.py", "[*found.lost, *passed]",
     "passed", "test_twice"),
    # what the user typed, and for whom
    ("desk: a text that was begun comes back", "ui/desk.py", "self._kept[self._mode] = self.text",
     "self.line.remember(self.text)", "test_menu"),
    ("desk: a passphrase has a line of its own", "ui/desk.py",
     "self._aside, self.line = self.line, InputLine(SECRET_MAX)", "self._aside = self.line",
     "test_proofs"),
    ("desk: a chat that ends below a paste", "ui/desk.py", "        if self._mode is Mode.CHAT:",
     "        if self.mode is Mode.CHAT:", "test_menu"),
    ("modes: a chat that begins takes no text", "ui/modes.py",
     "return not begun and not (desk.picker and desk.picker.marked)", "return True", "test_menu"),
    ("desk: Ctrl-C asks before it leaves", "ui/desk.py",
     "if self.is_at_login or self.asked:", "if not self.line.text:", "test_keymap"),
    ("menu: another key takes the question back", "ui/menu.py",
     "        self.desk.asked &= key == \"<C-c>\"\n", "", "test_keymap"),
    ("menu: a text that was refused stays", "ui/menu.py",
     " and modes.is_order(self.desk)", "", "test_keymap"),
    ("osc: only ASCII is in a sequence", "terminal/osc.py",
     "char if \" \" <= char <= \"~\" else \"?\"", "char", "test_urls"),
    ("osc: a text has one field", "terminal/osc.py", ".replace(\";\", \",\")", "", "test_urls"),
    ("urls: other scripts are encoded", "terminal/urls.py",
     "return char if char < \"\\x80\" else", "return char if True else", "test_urls"),
    ("urls: no part of an address", "terminal/urls.py", "if len(url) <= URL_MAX:", "if True:",
     "test_urls"),
    ("printer: a bare address has no blank", "terminal/printer.py",
     " or not url.isprintable() or \" \" in url:", ":", "test_printer"),
    ("display: what is unseen is named in one line", "terminal/display.py",
     "    if multiline:\n        text = _BELONGS", "    if True:\n        text = _BELONGS",
     "test_display"),
    ("links: the numbers of a list that is read", "ui/links.py",
     "if self._listed and is_read else", "if False else", "test_links"),
    ("hooks: how many run", "ui/hooks.py", "or len(self._running) >= RUNNING_MAX:", "or False:",
     "test_links"),
    ("hooks: how long they run", "ui/hooks.py", "if monotonic >= until:", "if False:",
     "test_links"),
    ("granting: once a second", "ui/granting.py",
     " and monotonic >= self._notified_at + NOTICE_SECONDS:", ":", "test_links"),
    ("granting: not to a user who looks", "ui/granting.py",
     "if not self._menu.is_watched:", "if True:", "test_links"),
    ("notices: who is waited for", "ui/notices.py", "elif len(self._waited) >= WAITED_MAX:",
     "elif False:", "test_links"),
    ("menu: the invitation that was selected", "ui/menu.py",
     "if invitation and self.desk.selected and self._answering() is not invitation:", "if False:",
     "test_menu"),
    ("commands: @all in a chat", "ui/commands.py", "return WHOM if in_chat else send",
     "return send", "test_addresses"),
    ("messages: stored is told before delivered", "ui/messages.py",
     "            if mark == DELIVERED and entry.mark == SENT:", "            if False:",
     "test_menu"),
    ("messages: stored for all before the mark", "ui/messages.py", "        if not own.unstored:",
     "        if True:", "test_menu"),
    # what an operator asks for
    ("operations: operators alone may ask", "server/operations.py",
     "if connection.caller.uid not in self.board.claims.identity.operators:", "if False:",
     "test_operations"),
    ("operations: said when it is on the disk", "server/operations.py",
     "self._promised = [each for each in waiting if each[0] > settled]",
     "self._promised, settled = [], 1 << 62", "test_operations"),
    ("bans: whom they keep out", "rules/bans.py",
     "self._who.get(name.lower()) or self._who.get(host)", "self._who.get(name.lower())",
     "test_operations"),
    ("bans: the file is synced before it counts", "server/banned.py", "        disk.sync(fd)\n", "",
     "test_operations"),
    ("backup: the manifest is still the same", "store/backup.py",
     "if manifests.load(disk, directory) == manifest:", "if True:", "test_backup"),
    ("backup: ids of its own", "store/backup.py", "seq = recovery.last + RESTORED_JUMP",
     "seq = recovery.last", "test_backup"),
    ("backup: the copy is verified", "store/backup.py",
     "        yield from check(target, disk)\n", "", "test_backup"),
)]


def mutated(mutant: Mutant, text: str) -> str:
    """The file with its change; ValueError when the text is not there exactly once."""
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} occurs {text.count(mutant.old)} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


def tree(into: Path) -> None:
    """A copy of what git knows, as it is now."""
    names = subprocess.run(["git", "-C", str(HOME), "ls-files"], capture_output=True, text=True,
                           check=True).stdout
    for name in names.splitlines():
        if (HOME / name).exists():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HOME / name, into / name)


def modules(home: Path, chosen: Collection[str] | None = None) -> list[str]:
    """The modules of tests with these names, or all, as unittest wants them:
    tests.room.test_name."""
    found = {path.stem: ".".join(path.relative_to(home).with_suffix("").parts)
             for path in sorted((home / "tests").rglob("test_*.py"))}
    return list(found.values()) if chosen is None else [found[name] for name in sorted(chosen)]


def caught_by(home: Path, modules: list[str]) -> str | None:
    """The test of these modules that fails first, None if all pass."""
    try:
        ran = subprocess.run([sys.executable, "-W", "ignore", "-m", "unittest", "-f", *modules],
                             cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             errors="replace", timeout=SECONDS,
                             env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    except subprocess.TimeoutExpired:
        return "(it hangs)"
    if not ran.returncode:
        return None
    found = re.search(r"^(?:FAIL|ERROR): \w+ \((?:[\w.]+\.)?(test_\w+\.\w+\.\w+)\)", ran.stderr,
                      re.MULTILINE)
    return found.group(1) if found else "(no test)"


def run(mutant: Mutant) -> str | None:
    """Which test catches it, None if it survives."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        home = Path(place)
        tree(home)
        path = home / mutant.file
        path.write_text(mutated(mutant, path.read_text()))
        likely = modules(home, mutant.likely.split())
        passed = {"test_mutants", *mutant.likely.split()}
        others = [name for name in modules(home) if name.rpartition(".")[2] not in passed]
        return caught_by(home, likely) or caught_by(home, others)


def table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows) + 2
    return "".join(f"    {name:{width}}{caught}\n" for name,
                   caught in [("MUTANT", "CAUGHT BY"), *rows])


def main(arguments: list[str]) -> int:
    write, words = "--write" in arguments, [word for word in arguments if not word.startswith("--")]
    chosen = [mutant for mutant in MUTANTS if not words
              or any(word in mutant.name for word in words)]
    likely = modules(HOME, {name for mutant in chosen for name in mutant.likely.split()})
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        tree(Path(place))
        if failed := caught_by(Path(place), likely):
            print(f"{failed} fails as things are")
            return 1
    rows, survived = [], 0
    for mutant in chosen:
        begun = time.monotonic()
        caught = run(mutant)
        survived += caught is None
        rows.append((mutant.name, caught or "SURVIVED"))
        print(f"{mutant.name:50} {caught or 'SURVIVED'}  ({time.monotonic() - begun:.0f} s)",
              flush=True)
    print(f"{len(rows)} mutants, {survived} survived")
    if write and not words:
        path = HOME / "HACKING"
        path.write_text(TABLE.sub(lambda _: table(rows), path.read_text()))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
