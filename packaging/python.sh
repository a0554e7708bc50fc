#!/bin/sh
# Prints the Python that the installed programs are to start: sh packaging/python.sh SYSTEM [PYTHON].
# PYTHON, the installer's own choice, is taken as it is.  Without it: python3 of PATH, if it is new
# enough, and if all logins can run it where root installs; else SYSTEM, on the same terms.
looks='import os, sys
def is_open(path, bit):
    while os.stat(path).st_mode & bit:
        if path == "/":
            return True
        path, bit = os.path.dirname(path), 0o001
here = sys.executable
if sys.version_info < (3, 11):
    print(here, "is older than 3.11")
elif os.geteuid() == 0 and not all((is_open(os.path.abspath(here), 0o001),
        is_open(os.path.realpath(here), 0o001), is_open(os.path.realpath(os.__file__), 0o004))):
    print(here, "can be run by root alone")
else:
    print(here, "is right")'

if [ -n "${2:-}" ]; then
    said=$($2 -ISc "$looks" 2>/dev/null)
    case $said in
        *"by root alone") echo "make install: $said: other logins cannot use the programs" >&2 ;;
    esac
    command -v $2 || echo "$2"
    exit 0
fi
why=
for python in python3 "$1"; do
    said=$("$python" -ISc "$looks" 2>/dev/null) || said="$python does not run"
    case $said in
        *" is right")
            [ -z "$why" ] || echo "make install: $why; the programs start ${said% is right}" >&2
            echo "${said% is right}"
            exit 0 ;;
    esac
    why=${why:+$why, and }$said
done
echo "make install: $why: name a Python that all logins can run, 3.11 or newer, with PYTHON=PATH" >&2
exit 1
