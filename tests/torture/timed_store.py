"""small_store.py with a stopwatch: how long the store's own work keeps the loop from its clients.

    python tests/torture/timed_store.py TIMES SEAL_AT [options of daemon.py]

When it ends it writes one line to the file TIMES: how many slices of work there were, how many
rolls, and in milliseconds the longest slice by the clock, and by the processor's time of this
thread.  The clock's has what the disk took in it, and the scheduler of a busy machine.
"""
import sys
import time
from pathlib import Path
from typing import Any

import small_store  # makes the daemon's modules known

import mailbox


class Stopwatch:
    def __init__(self) -> None:
        self.slices = self.rolls = 0
        self.longest = self.busiest = 0.0

    def time(self, work: Any) -> Any:
        def timed(store: Any, *arguments: Any) -> Any:
            journal, started, spent = store._journals.current, time.monotonic(), time.thread_time()
            more = work(store, *arguments)
            self.busiest = max(self.busiest, time.thread_time() - spent)
            self.longest = max(self.longest, time.monotonic() - started)
            self.slices += 1
            self.rolls += journal is not store._journals.current
            return more
        return timed


def main() -> int:
    watch, times = Stopwatch(), Path(sys.argv.pop(1))
    mailbox.Mailbox.work = watch.time(mailbox.Mailbox.work)     # type: ignore[method-assign]
    status = small_store.main()
    times.write_text(
        f"{watch.slices} {watch.rolls} {watch.longest * 1000:.1f} {watch.busiest * 1000:.1f}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
