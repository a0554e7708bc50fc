"""daemon.py as it is, with a stopwatch at its turns:

    python tests/torture/timed_turns.py SOCKET [options of daemon.py]

Whoever connects to the Unix socket SOCKET is told one line: how many turns there were since
somebody last connected, and in milliseconds the longest of them, by the clock from the end of
select() and by the processor's time of this thread.
"""
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import daemon


class Stopwatch:
    """The turns since it was read last."""

    def __init__(self) -> None:
        self.turns, self.longest, self.busiest, self.woke = 0, 0.0, 0.0, 0.0

    def time(self, turn: Any) -> Any:
        """The same turn, timed."""
        def timed(loop: daemon.Daemon, wait: float | None = None) -> None:
            spent = time.thread_time()
            turn(loop, wait)
            self.busiest = max(self.busiest, time.thread_time() - spent)
            self.longest = max(self.longest, time.monotonic() - loop.now.monotonic)
            self.turns += 1
        return timed

    def serve(self, path: str) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        while True:
            caller = listener.accept()[0]
            caller.sendall(f"{self.turns} {self.longest * 1000:.1f} {self.busiest * 1000:.1f}"
                           .encode())
            caller.close()
            self.turns, self.longest, self.busiest = 0, 0.0, 0.0


def main() -> int:
    watch = Stopwatch()
    daemon.Daemon.turn = watch.time(daemon.Daemon.turn)         # type: ignore[method-assign]
    threading.Thread(target=watch.serve, args=(sys.argv[1],), daemon=True).start()
    return daemon.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
