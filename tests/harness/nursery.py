"""The process that warm.py forks programs from: `python nursery.py daemon TREE 0`.

It imports one program from that tree.  Where that was in the namespaces of a host, it goes back
into those of the process that comes last.  Then it serves requests on descriptor 0, until the other
end is closed.  In a child serve() returns what was asked for, so that the child ends as every
Python does: atexit, flushed streams, the exit status or traceback of what main() raised.
"""
import _socket
import importlib
import io
import os
import resource
import signal
import sys
import time
from typing import Any, NoReturn

SIZE = 1 << 20              # bytes of a request: an environment, mostly
PR_SET_DUMPABLE = 4


def serve() -> tuple[dict[str, Any], list[int]]:
    """What the next program is to be, and its standard descriptors, in a child that is to become
    it."""
    import marshal
    channel = _socket.socket(fileno=os.dup(0))
    while True:
        try:
            data, control, *_ = channel.recvmsg(SIZE, _socket.CMSG_SPACE(3 * 4))
        except KeyboardInterrupt:
            data = b""
        if not data:
            os._exit(0)
        fds = [int.from_bytes(control[0][2][at:at + 4], sys.byteorder) for at in (0, 4, 8)]
        parent = os.fork()
        if not parent:
            _give_birth(channel)
            channel.close()
            return marshal.loads(data), fds
        for fd in fds:
            os.close(fd)
        os.waitpid(parent, 0)
        channel.send(b"dead")


def _give_birth(channel: _socket.socket) -> None:
    """Fork, say the child's pid and end; return in the child, when its parent is the one that
    asked."""
    between = os.getpid()
    if child := os.fork():
        channel.send(b"%d" % child)
        os._exit(0)
    while os.getppid() == between:
        time.sleep(0.0002)


def become(wanted: dict[str, Any], fds: list[int]) -> None:
    """Take everything that a fresh process would have been given."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.closerange(3, 256)
    if wanted["session"]:
        os.setsid()
    if wanted["terminal"]:
        import fcntl
        import termios
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.umask(wanted["umask"])
    for limit, *both in wanted["limits"]:
        if resource.getrlimit(limit) != tuple(both):
            resource.setrlimit(limit, both)
    if wanted["login"]:
        _log_in(*wanted["login"])
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    time.tzset()
    sys.argv[:], sys.orig_argv[1:] = wanted["argv"], wanted["argv"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    _open_standard_streams()
    signal.pthread_sigmask(signal.SIG_SETMASK, wanted["mask"])


def _enter(host: int) -> Any:
    """Go into the mount and the network namespace of this process; the C library."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ("mnt", "net"):
        fd = os.open(f"/proc/{host}/ns/{kind}", os.O_RDONLY)
        if libc.setns(fd, 0):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)
    return libc


def _log_in(host: int, uid: int) -> None:
    """As `nsenter -t HOST -m -n setpriv --reuid UID --regid UID --clear-groups` does."""
    libc = _enter(host)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)     # /proc/self is this login's, as after exec


def _open_standard_streams() -> None:
    """As Python does at a start (create_stdio in pylifecycle.c)."""
    unbuffered = sys.stdout.write_through       # PYTHONUNBUFFERED
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream: Any = io.FileIO(number, "w" if number else "r", closefd=False)
        if not number:
            stream = io.BufferedReader(stream)
        elif not unbuffered:
            stream = io.BufferedWriter(stream)
        is_by_line = not unbuffered and (number == 2 or os.isatty(number))
        before = getattr(sys, name)
        made = io.TextIOWrapper(stream, before.encoding, before.errors, "\n", is_by_line,
                                unbuffered)
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)


def main(name: str, tree: str, home: str) -> NoReturn:
    sys.path[0] = tree
    program = importlib.import_module(name)
    if int(home):
        _enter(int(home))       # a mount that is undone elsewhere would live on in the host's
    become(*serve())
    sys.modules["__main__"] = program
    del sys.modules[name]
    program.__name__ = "__main__"
    sys.exit(program.main())


if __name__ == "__main__":
    main(*sys.argv[1:])
