"""Everything that is too long for `make test`, one after the other; each part says what it did, and
is a program too.

    python -m tests.torture.torture [PART ...]          or `make torture ARGS="PART ..."`

Without a PART, all of them.
"""
import importlib
import sys
import time

PARTS = ("power_cuts", "kills", "disk_errors", "full_disk", "device_errors", "every_flip",
         "end_to_end", "random_clients", "restart", "torture_overload", "torture_doors", "hog",
         "hostile_floods", "proof_times", "long_turns")


def main() -> int:
    chosen = sys.argv[1:] or list(PARTS)
    unknown = set(chosen) - set(PARTS)
    if unknown:
        print(f"torture: no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}",
              file=sys.stderr)
        return 64
    failed = []
    for part in chosen:
        started = time.monotonic()
        if importlib.import_module(f"tests.torture.{part}").main([]):
            failed.append(part)
        result = "FAILED" if part in failed else "ok"
        print(f"torture: {part}: {result}, {time.monotonic() - started:.0f} s", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
