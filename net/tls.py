"""tls: a TCP connection inside TLS, with the face of a socket.

A Secured takes the place of the socket in a loop that knows nothing of TLS: recv(), send(), sendmsg(), fileno(),
close().  Bytes go through memory (ssl.MemoryBIO), never through an SSLSocket, for two reasons:

  - recv() takes what has arrived and decrypts all of it.  Nothing that is whole is left inside, so that the selector's
    word about the socket is true; with an SSLSocket it says "not readable" while thousands of bytes wait in it.
  - send() says how many bytes have left, as a socket does.  Bytes that are encrypted and did not leave are not counted;
    BlockingIOError, or a smaller number, says so.  The caller comes back with data that begins with the same bytes, as
    whoever keeps what was not sent does, and they are not encrypted twice.  (Other bytes would be a lie to the peer;
    there is an assertion.)

The handshake happens in recv() on the daemon's side, as its bytes arrive: the connection is a stranger meanwhile, with
a stranger's deadline, and stalls nobody.  Until it is over send() raises: there is nothing to be said yet, not even a
refusal.  The client calls shake() until it is done.

TLS 1.3 alone.  Trust is by pinning: a daemon is known by the fingerprint of its certificate, the SHA-256 of its DER
form, as `openssl x509 -fingerprint -sha256` prints it; names and authorities are not looked at.  `binding` is that
hash, on both sides, for scram.py.

Failure: what TLS has to complain of is an OSError with its reason in words, the end of the stream is b"", with or
without TLS's own goodbye: a frame that is cut shows it.  Bad at: a handshake answer larger than a fresh socket's buffer
(some 80 KB); what is left of it goes out with the next bytes that arrive.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import Iterable
from selectors import EVENT_READ, EVENT_WRITE

CHUNK = 16384               # bytes encrypted at once: a record of TLS


class BadCertificate(Exception):
    """The operator's files can't be used: one line, and an exit code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Server:
    """The daemon's certificate."""

    def __init__(self, certificate: str, key: str) -> None:
        """The files may be one.  Raises BadCertificate."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.num_tickets = 0                    # a session is not taken up again: nothing to say at its start
        for path in (certificate, key):
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                raise BadCertificate(os.EX_NOINPUT, f"{path}: {error.strerror}") from None
        try:
            self.context.load_cert_chain(certificate, key, password=lambda: "")
            with open(certificate, encoding="ascii", errors="replace") as file:
                text = file.read()
            begin, end = text.index(BEGIN), text.index(END)
            self.binding = digest(ssl.PEM_cert_to_DER_cert(text[begin:end + len(END)] + "\n"))
        except (OSError, ValueError) as error:
            raise BadCertificate(os.EX_CONFIG, f"{certificate} and {key} are no certificate and its key, in PEM and "
                                               f"without a passphrase ({_why(error)})") from None

    def wrap(self, sock: socket.socket) -> Secured:
        """A connection that came in."""
        return Secured(sock, self.context, self.binding)

    @property
    def fingerprint(self) -> str:
        return shown(self.binding)


BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Secured:
    """A socket in TLS."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, binding: bytes = b"") -> None:
        """`binding`: of the daemon's own certificate; b"" on the client's side."""
        self.sock = sock
        self.binding = binding
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=bool(binding))
        self._shaken = False
        self._unsent = b""                  # encrypted, and not taken by the socket
        self._owed = b""                    # what was said, of which that is the end

    # ---- as a socket ----

    def fileno(self) -> int:
        return self.sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self.sock.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.sock.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        return self.sock.getsockopt(level, option)

    def recv(self, size: int) -> bytes:
        """What has come, decrypted; b"" at the end.  Raises BlockingIOError, OSError.  It may be a record more."""
        self._flush()
        data = self.sock.recv(size)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        plain = self._read()
        if not plain and data:
            raise BlockingIOError("no whole record yet")
        return plain

    def send(self, data: bytes | bytearray) -> int:
        """How many of these bytes have left.  Raises BlockingIOError, OSError."""
        if not self._shaken:
            raise ConnectionError("TLS is not agreed on yet")
        taken = 0
        if self._owed:
            assert data[:len(self._owed)] == self._owed, "what did not leave must be said again"
            if not self._flush():
                raise BlockingIOError("what was said before has not left")
            taken, self._owed = len(self._owed), b""
        while taken < len(data):
            chunk = bytes(data[taken:taken + CHUNK])
            self._tls.write(chunk)
            if not self._flush():
                self._owed = chunk
                break
            taken += len(chunk)
        if not taken and data:
            raise BlockingIOError("the socket takes no more")
        return taken

    def sendmsg(self, buffers: Iterable[bytes]) -> int:
        """The same for several."""
        return self.send(b"".join(buffers))

    def close(self) -> None:
        """Say goodbye if that is possible at once."""
        with contextlib.suppress(OSError, ValueError):
            if self._shaken and not self._owed:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._flush()
        self.sock.close()

    # ---- TLS ----

    def shake(self) -> int:
        """Go on with the handshake; what to wait for (EVENT_READ, EVENT_WRITE), 0 when it is over.  Raises OSError."""
        if not self._shaken:
            with contextlib.suppress(BlockingIOError):
                data = self.sock.recv(65536)
                if not data:
                    raise ConnectionError("the daemon closed the line: does it speak TLS there?")
                self._in.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                self._agree()
        if not self._flush():
            return EVENT_WRITE
        return 0 if self._shaken else EVENT_READ

    @property
    def certificate(self) -> bytes:
        """The peer's, in DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    def _agree(self) -> None:
        try:
            self._tls.do_handshake()
            self._shaken = True
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            raise
        except ssl.SSLError as error:
            raise ConnectionError(f"no TLS could be agreed on: {_why(error)}") from None
        finally:
            self._flush()           # an alert, too
        if not self.binding:
            self.binding = digest(self.certificate)

    def _read(self) -> bytes:
        """All that is whole.  What was read before a fault is given first; the fault comes again."""
        parts: list[bytes] = []
        try:
            if not self._shaken:
                self._agree()
            while part := self._tls.read(CHUNK):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            if not parts:
                return b""
        except ssl.SSLError as error:
            if not parts:
                raise ConnectionError(f"TLS is broken: {_why(error)}") from None
        self._flush()               # what TLS itself has to answer
        return b"".join(parts)

    def _flush(self) -> bool:
        """Send what is encrypted; has all of it left?"""
        self._unsent += self._out.read()
        while self._unsent:
            try:
                self._unsent = self._unsent[self.sock.send(self._unsent):]
            except BlockingIOError:
                return False
        return True


def client_context() -> ssl.SSLContext:
    """For the client's side: the certificate is looked at by pinning."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def digest(der: bytes) -> bytes:
    """What a certificate is known by."""
    return hashlib.sha256(der).digest()


def shown(fingerprint: bytes) -> str:
    """As openssl prints it: AB:CD:..."""
    return fingerprint.hex(":").upper()


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()
