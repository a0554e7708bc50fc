"""signals: what the operating system tells the daemon, kept until its loop looks.

A signal sets a flag and wakes the loop by a socket; what it means stands in daemon.py.  A parent
may have blocked these signals: they are let through.  A parent that has ignored INT runs the daemon
in the background of a script, whose Ctrl-C is not for the daemon: INT stays ignored.
"""
import selectors
import signal
import socket

KNOWN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1,
         signal.SIGUSR2)


class Signals:
    """The signals that have come and that the loop has not seen yet."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self._ends: tuple[socket.socket, ...] = ()      # of the socket that wakes the loop

    def catch(self, selector: selectors.BaseSelector) -> None:
        """From now on note the signals, and wake this selector; should that fail, the loop sees
        them within a second."""
        inner, outer = socket.socketpair()
        for end in (inner, outer):
            end.setblocking(False)
        signal.set_wakeup_fd(outer.fileno(), warn_on_full_buffer=False)
        self._ends = (inner, outer)
        for number in KNOWN:
            if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: self.came.append(number))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, KNOWN)
        selector.register(inner, selectors.EVENT_READ, lambda end, _: end.recv(64))

    def take(self) -> list[int]:
        """Those that came since the last look, in order."""
        came, self.came = self.came, []
        return came

    def leave(self) -> None:
        """Hold all back, for another program in the place of this one; those that came and that
        the loop did not see, too."""
        signal.pthread_sigmask(signal.SIG_BLOCK, KNOWN)
        for number in self.take():
            signal.raise_signal(number)         # of this thread, whatever others there are

    def close(self) -> None:
        """Wake the loop no more."""
        if self._ends:
            signal.set_wakeup_fd(-1)
        for end in self._ends:
            end.close()


def end_at_next(number: int) -> None:
    """The same signal once more ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
