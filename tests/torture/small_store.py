"""daemon.py as it is, but its store seals as soon as its journals hold SEAL_AT bytes, and not 8
MiB:

    python tests/torture/small_store.py SEAL_AT [options of daemon.py]

With SEAL_AT:SECONDS it also comes to rest after so many seconds of quiet, and not 60.  With
SEAL_AT:SECONDS:NAME,... the host has these logins of people, and lists them all.

So a test sees in a second the rolls, seals and drops that a service has in a day.
"""
import functools
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import daemon
from net.logins import Logins
from server import startup
from store import upkeep

JOURNALS_MAX = 4            # a journal for each start: after so many it seals, whatever they hold
PEOPLE_FROM = 70_000        # the uid of the first of the people


def main() -> int:
    most, quiet, people = (*sys.argv[1].split(":"), "", "")[:3]
    seal_at, vars(upkeep)["QUIET_SECONDS"] = int(most), float(quiet or upkeep.QUIET_SECONDS)
    vars(startup)["Mailbox"] = functools.partial(startup.Mailbox, seal_at=seal_at,
                                                 journals_max=JOURNALS_MAX, small=seal_at // 8)
    if people:
        uids = {name: uid for uid, name in enumerate(people.split(","), PEOPLE_FROM)}
        vars(daemon)["Logins"] = functools.partial(Host, uids)
    return daemon.main(sys.argv[2:])


class Host(Logins):
    """The logins of a host that has these people, too."""
    are_listed = True

    def __init__(self, uids: dict[str, int], *more: Any) -> None:
        self.extra = uids
        super().__init__(*more)

    def uid(self, name: str) -> int | None:
        return self.extra.get(name) or super().uid(name)

    def person(self, name: str) -> tuple[str, int] | None:
        return (name, self.extra[name]) if name in self.extra else super().person(name)


if __name__ == "__main__":
    sys.exit(main())
