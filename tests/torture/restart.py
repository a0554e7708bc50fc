"""A million messages waiting, 1 KB each: how long a start takes, and how much memory.

    python -m tests.torture.restart [--messages N]

or `make torture`; needs 3 GB on the disk of the temporary directory.

They are put into the store as the daemon does it, a batch and a sync for each thousand, sealed as
they come; then the real daemon is started on it.  tests/rules/test_queue.py does a tenth of it
through the daemon itself.
"""
import argparse
import sys
import tempfile
import time

from mailbox import Mailbox
from tests.harness.process import DaemonProcess

BATCH = 1000
NAMES = 10
SECONDS = 15.0              # for a million
TEXT = b"m" * 1000


def fill(store: str, messages: int) -> float:
    """How long it took."""
    started, mailbox = time.monotonic(), Mailbox(store)
    users = [mailbox.register(f"user{number}", 1) for number in range(NAMES + 1)]
    for number in range(messages):
        mailbox.put(users[-1], (1 << 32) + number, number, [users[number % NAMES]], 0, TEXT)
        if number % BATCH == BATCH - 1:
            mailbox.write()
            mailbox.sync(wait=True)
            while mailbox.work(0.01):
                pass
    mailbox.close()
    return time.monotonic() - started


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="restart")
    parser.add_argument("--messages", type=int, default=1_000_000)
    messages = parser.parse_args(arguments).messages
    with tempfile.TemporaryDirectory(prefix="parley-restart-") as directory:
        store = directory + "/store"
        filled = fill(store, messages)
        with DaemonProcess(store=store, wait=False) as daemon:
            started = time.monotonic()
            daemon.wait()
            seconds = time.monotonic() - started
            with daemon.client("user0") as user:
                waiting = user.welcome.waiting
            memory = daemon.rss() >> 20
    limit = SECONDS * max(1.0, messages / 1_000_000)
    print(f"restart: {messages} messages of {len(TEXT)} bytes, filled in {filled:.0f} s: ready "
          f"after {seconds:.2f} s, {memory} MiB; {waiting} wait for one of {NAMES} names")
    if seconds > limit or waiting != messages // NAMES:
        print(f"restart: FAILED: {limit:.0f} s and {messages // NAMES} messages are wanted")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
