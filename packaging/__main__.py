"""Where parley.pyz begins: `parley.pyz ...` is the client, `parley.pyz daemon ...` the daemon.

A link named parleyd to the same file is the daemon too."""
import os
import sys


def main() -> int:
    wants_daemon = os.path.basename(sys.argv[0]).startswith("parleyd")
    if sys.argv[1:2] == ["daemon"]:
        del sys.argv[1]
        wants_daemon = True
    if wants_daemon:
        import daemon as program
    else:
        import curses_client as program  # type: ignore[no-redef]
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
