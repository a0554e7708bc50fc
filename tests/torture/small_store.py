"""daemon.py as it is, but its store seals as soon as its journals hold SEAL_AT bytes, and not 8
MiB:

    python tests/torture/small_store.py SEAL_AT [options of daemon.py]

With SEAL_AT:SECONDS it also comes to rest after so many seconds of quiet, and not 60.

So a test sees in a second the rolls, seals and drops that a service has in a day.
"""
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import daemon
from server import startup
from store import upkeep

JOURNALS_MAX = 4            # a journal for each start: after so many it seals, whatever they hold


def main() -> int:
    most, _, quiet = sys.argv[1].partition(":")
    seal_at, vars(upkeep)["QUIET_SECONDS"] = int(most), float(quiet or upkeep.QUIET_SECONDS)
    vars(startup)["Mailbox"] = functools.partial(startup.Mailbox, seal_at=seal_at,
                                                 journals_max=JOURNALS_MAX, small=seal_at // 8)
    return daemon.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
