"""tls: a TCP connection inside TLS, with the face of a socket.

How it works
    A Secured takes the place of the socket in a loop that knows nothing of TLS: recv(), send(),
    sendmsg(), fileno(), close().  Bytes go through memory (ssl.MemoryBIO), never through an
    SSLSocket, for two reasons:

      - recv() takes what has arrived and decrypts all of it.  No whole record stays inside, so what
        the selector says of the socket is true.  For an SSLSocket it says "not readable" while
        thousands of bytes wait inside.
      - send() says how many bytes have left, as a socket does.  It does not count bytes that are
        encrypted and have not left; a smaller number, or BlockingIOError, says so.  The caller then
        comes back with data that begins with the same bytes, as a caller that keeps what was not
        sent does, and send() does not encrypt them twice.  (Other bytes would be a lie to the peer;
        an assertion checks that.)

    Either side calls shake() until the handshake is over, and nothing else before.  The daemon's
    part takes much longer than anything else here, and how long depends on its key
    (Server.handshake_seconds, server/handshakes.py).

    Only TLS 1.3.  Trust is by pinning: a client knows a daemon by the fingerprint of its
    certificate, and does not look at names and authorities.  The fingerprint is the SHA-256 of the
    DER form, as `openssl x509 -fingerprint -sha256` prints it.  `binding` is that hash, on both
    sides, for scram.py.

How it fails
    What TLS complains of is raised as an OSError with its reason in words.  The end of the stream
    is b"", with or without TLS's own goodbye: a frame that was cut off shows it.

Bad at
    A handshake answer larger than a fresh socket's buffer (some 80 KB): the rest of it leaves when
    the next bytes arrive.
"""
from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

RECORDS = range(20, 25)     # the first byte of a record of TLS (RFC 8446, B.1)
CHUNK = 16384               # bytes encrypted at once: one record of TLS


def _load() -> None:
    """Import ssl: 7 ms, and most connections have no TLS.  Whatever needs it begins with
    a context, which the daemon makes at its start and a client at its first dial."""
    global ssl
    import ssl


class BadCertificate(Exception):
    """The operator's files can't be used: one line that says why, and an exit code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class NoTLS(ConnectionError):
    """The peer's first bytes are no record of TLS.  `is_frame`: they may begin a frame of ours."""

    def __init__(self, reason: str, first: int) -> None:
        super().__init__(reason)
        self.is_frame = first == 0              # of fewer than 2**24 bytes


class Server:
    """The daemon's certificate."""

    def __init__(self, certificate: str, key: str) -> None:
        """Load certificate and key, which may be in one file.  Raises BadCertificate."""
        _load()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        # a peer that ends its stream without a goodbye may still listen; since 3.11.4 an error
        self.context.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        self.context.num_tickets = 0    # nobody resumes a session, so nothing is sent for that
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
            self.certificate = ssl.PEM_cert_to_DER_cert(text[begin:end + len(END)] + "\n")
            self.binding = digest(self.certificate)
        except (OSError, ValueError) as error:
            raise BadCertificate(
                os.EX_CONFIG, f"{certificate} and {key} are no certificate and its key, in PEM and "
                f"without a passphrase ({_why(error)})") from None

    def wrap(self, sock: socket.socket) -> Secured:
        """A new connection from a client, in TLS."""
        return Secured(sock, self.context, self.binding)

    @property
    def fingerprint(self) -> str:
        return shown(self.binding)

    def expires(self) -> float | None:
        """When the certificate ends, in seconds since 1970; 0: it has ended; None: unknown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=self.certificate)
        try:
            ours, theirs = self._ends(context)
            for _ in range(3):
                for end in (theirs, ours):
                    with contextlib.suppress(ssl.SSLWantReadError):
                        end.do_handshake()
            told: Any = (theirs.getpeercert() or {}).get("notAfter")
            return ssl.cert_time_to_seconds(told) if told else None
        except ssl.SSLCertVerificationError as error:
            return 0.0 if error.verify_code == HAS_EXPIRED else None
        except (ssl.SSLError, ValueError):
            return None

    def _ends(self, context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
        """The daemon and a client, with nothing between them."""
        to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
        return (self.context.wrap_bio(to_us, to_them, server_side=True),
                context.wrap_bio(to_them, to_us))

    def handshake_seconds(self, tries: int = 3) -> float:
        """How long the daemon's part of a handshake takes here: the shortest of some."""
        return min(self._handshake() for _ in range(tries))

    def _handshake(self) -> float:
        (ours, theirs), took = self._ends(client_context()), 0.0
        for _ in range(2):
            with contextlib.suppress(ssl.SSLWantReadError):
                theirs.do_handshake()
            began = time.perf_counter()
            with contextlib.suppress(ssl.SSLWantReadError):
                ours.do_handshake()
            took += time.perf_counter() - began
        return took


HAS_EXPIRED = 10        # X509_V_ERR_CERT_HAS_EXPIRED
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Secured:
    """A socket in TLS."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, binding: bytes = b"") -> None:
        """`binding` is that of the daemon's own certificate; b"" on the client's side."""
        self.sock = sock
        self.binding = binding
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=bool(binding))
        self._shaken = self._has_heard = False
        self._unsent = b""                  # encrypted, and not taken by the socket yet
        self._owed = b""                    # the plain bytes that `_unsent` is the end of

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
        """What has arrived, decrypted; b"" at the end.  Raises BlockingIOError, OSError.

        It may be one record longer than `size`."""
        self._flush()
        has_ended = False
        try:
            if data := self.sock.recv(size):
                self._in.write(data)
            else:
                self._in.write_eof()
                has_ended = True
        except BlockingIOError:
            if not self._in.pending:        # that came in one packet with the end of the handshake
                raise
        plain = self._read()
        if not plain and not has_ended:
            raise BlockingIOError("no whole record yet")
        return plain

    def send(self, data: bytes | bytearray) -> int:
        """Send; returns how many of these bytes have left.  Raises BlockingIOError, OSError."""
        if not self._shaken:
            raise ConnectionError("TLS is not agreed on yet")
        taken = 0
        if self._owed:
            assert data[:len(self._owed)] == self._owed, "what did not leave must come again"
            if not self._flush():
                raise BlockingIOError("what was sent before has not left")
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
        """`send` for several buffers."""
        return self.send(b"".join(buffers))

    def say_plainly(self, data: bytes) -> None:
        """Send this without TLS, before any: to a peer that speaks none."""
        with contextlib.suppress(OSError):
            self.sock.send(data)

    def close(self) -> None:
        """Close the connection, with TLS's goodbye if that can leave at once."""
        with contextlib.suppress(OSError, ValueError):
            if self._shaken and not self._owed:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._flush()
        self.sock.close()

    # ---- TLS ----

    def shake(self) -> int:
        """Go on with the handshake.  Raises OSError.

        Returns what to wait for, EVENT_READ or EVENT_WRITE; 0 when the handshake is over."""
        if not self._shaken:
            with contextlib.suppress(BlockingIOError):
                data = self.sock.recv(65536)
                if not data:
                    raise ConnectionError(
                        "the line was closed" if self._tls.server_side else
                        "the daemon closed the connection: does it speak TLS there?")
                self._check_first(data)
                self._in.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                self._agree()
        if not self._flush():
            return EVENT_WRITE
        return 0 if self._shaken else EVENT_READ

    def _check_first(self, data: bytes) -> None:
        """Raise NoTLS if this is the first of a peer that speaks none."""
        if not self._has_heard and data[0] not in RECORDS:
            raise NoTLS("no TLS was spoken" if self._tls.server_side else
                        "no TLS is spoken there: leave tls: out if the daemon's operator says so",
                        data[0])
        self._has_heard = True

    @property
    def certificate(self) -> bytes:
        """The peer's certificate, in DER."""
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
        """Decrypt all whole records.

        If a fault follows some of them, this returns those, and the next call raises the fault."""
        parts: list[bytes] = []
        try:
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
        """Send what is encrypted; whether all of it has left."""
        self._unsent += self._out.read()
        while self._unsent:
            try:
                self._unsent = self._unsent[self.sock.send(self._unsent):]
            except BlockingIOError:
                return False
        return True


def client_context() -> ssl.SSLContext:
    """For the client's side, which compares the certificate with the pinned one."""
    _load()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def digest(der: bytes) -> bytes:
    """The fingerprint of a certificate, in bytes."""
    import hashlib
    return hashlib.sha256(der).digest()


def shown(fingerprint: bytes) -> str:
    """The fingerprint as openssl prints it: AB:CD:..."""
    return fingerprint.hex(":").upper()


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()
