"""A program that prints all that it finds at its start, as JSON: for test_warm.py."""
import sys


def main() -> int:
    import json
    import locale
    import os
    import resource
    import signal
    import time
    streams = {name: [stream.fileno(), stream.encoding, stream.errors, stream.line_buffering,
                      stream.write_through, stream.newlines, stream.isatty()]
               for name, stream in (("stdin", sys.stdin), ("stdout", sys.stdout),
                                    ("stderr", sys.stderr))}
    with open("/proc/self/status") as file:
        status = file.read()
    print(json.dumps({
        "name": __name__, "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path,
        "flags": str(sys.flags), "main": sys.modules["__main__"].__name__, "streams": streams,
        "same": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__,
                 sys.stderr is sys.__stderr__],
        "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
        "places": [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "pid")],
        "can": [row for row in status.splitlines() if row.startswith(("Cap", "NoNew"))],
        "cwd": os.getcwd(), "environment": dict(os.environ), "umask": os.umask(0),
        "open": sorted(os.listdir("/proc/self/fd"))[:3], "count": len(os.listdir("/proc/self/fd")),
        "parent": os.getppid(), "leads": os.getsid(0) == os.getpid(),
        "group": os.getpgrp() in (os.getpid(), os.getpgid(os.getppid())),
        "limits": [resource.getrlimit(each) for each in range(16)],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "handlers": [str(signal.getsignal(each)).split(" at 0x")[0]
                     for each in sorted(signal.valid_signals())],
        "locale": [locale.setlocale(locale.LC_CTYPE), locale.setlocale(locale.LC_TIME)],
        "zone": time.tzname, "children": os.times()[2:4] == (0, 0),
        "read": sys.stdin.read() if not sys.stdin.isatty() else ""}))
    print("and on stderr", file=sys.stderr)
    return 7


if __name__ == "__main__":
    sys.exit(main())
