"""scram: proving that one knows a passphrase without saying it (RFC 5802, with SHA-256: RFC 7677).

    salted key = PBKDF2(passphrase, salt, iterations)    slow, to slow guessing; on the client only
    client key = HMAC(salted key, "Client Key")
    stored key = SHA-256(client key)
    server key = HMAC(salted key, "Server Key")

The daemon keeps a Verifier: iterations, salt, stored key, server key.  With it one can check a
proof but not make one.  The client's proof is HMAC(stored key, talk) XOR client key.  The daemon
answers with HMAC(server key, talk), so that the client knows that the daemon holds the verifier.
`talk` is the AuthMessage of RFC 5802: name, both nonces, salt, iterations and the Binding.  So
nothing that is said on one connection is worth anything on another.

A Binding is what both ends know of their connection (a channel binding, RFC 5056).  A proof that a
third party passes on to the daemon is wrong there, because the client signed what it saw:

    tls-server-end-point    the SHA-256 of the daemon's certificate (RFC 5929)
    unix-listener           the uid as which the daemon listens, by the kernel's word; nothing where
                            the kernel does not tell
    tcp                     nothing: only that it is neither of the others

Python's ssl has no exporter (RFC 9266), and the hash of the certificate is what it can give.  A
client that could bind and was not asked to begins its nonce with STRIPPED.  That is the flag "y" of
RFC 5802, section 6, in a place that programs of 0.1 sign too: a daemon that asks clients to bind
knows that somebody kept its question from this one.

A thief of verifiers can try passphrases against them, slowly, and can pretend to be the daemon, but
no more.  A thief of a salted key can log in as that user.
This module is pure: nonces and salts come from outside.
Bad at: names with a comma or an equals sign, which no name of ours has.
"""
from __future__ import annotations

import struct
import unicodedata
from binascii import b2a_base64
from typing import NamedTuple

# Of a claim, and the fewest that either side takes: with fewer, who gets a proof can guess more
# quickly.  Some 0.3 s of a client in 2026; OWASP's advice for SHA-256.
ITERATIONS = 600_000
ITERATIONS_MAX = 10_000_000     # some seconds: what a hostile daemon can make a client compute
STRIPPED = b"gs2:y,"            # 6 of the 16 bytes: 10 random ones are left
VERIFIER = struct.Struct("!I16s32s32s")
assert VERIFIER.size == 84


class Binding(NamedTuple):
    """What a proof is bound to."""
    name: str = ""          # "": nothing, as a program of 0.1 without TLS
    data: bytes = b""

    @property
    def header(self) -> bytes:
        """The gs2-header and the data."""
        return f"p={self.name},,".encode() + self.data if self.name else b"n,,"

    @property
    def before(self) -> Binding:
        """As a program of 0.1 binds its proof: to a certificate alone."""
        return self if self.name == TLS else Binding()


TLS, UNIX = "tls-server-end-point", "unix-listener"
TCP = Binding("tcp")


def unix(uid: int | None) -> Binding:
    """A Unix socket at which this uid listens; None: the kernel does not tell."""
    return Binding(UNIX, b"" if uid is None else uid.to_bytes(4, "big"))


class Verifier(NamedTuple):
    """What the daemon keeps of a passphrase."""
    iterations: int
    salt: bytes
    stored: bytes       # the SHA-256 of the client key
    server: bytes       # the server key

    def pack(self) -> bytes:
        return VERIFIER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Verifier:
        """The verifier that pack() wrote.  Raises struct.error for other data."""
        return cls(*VERIFIER.unpack(data))


def derive(passphrase: str, salt: bytes, iterations: int, hash: str = "sha256") -> bytes:
    """The salted key.  Slow on purpose.  Raises ValueError for an impossible passphrase."""
    import hashlib
    return hashlib.pbkdf2_hmac(hash, prepare(passphrase).encode(), salt, iterations)


def verifier(key: bytes, salt: bytes, iterations: int, hash: str = "sha256") -> Verifier:
    """The verifier of a salted key."""
    return Verifier(iterations, salt, _digest(_client_key(key, hash), hash),
                    _hmac(key, b"Server Key", hash))


def conversation(name: str, client: str, server: str, salt: bytes, iterations: int,
                 binding: Binding) -> bytes:
    """The AuthMessage: what both sides have said.  `client` and `server` are their nonces."""
    both = client + server
    return (f"n={name},r={client},r={both},s={_base64(salt)},i={iterations},"
            f"c={_base64(binding.header)},r={both}").encode()


def prove(key: bytes, talk: bytes, hash: str = "sha256") -> bytes:
    """The proof that the client knows the passphrase, from its salted key."""
    client_key = _client_key(key, hash)
    return _xor(client_key, _hmac(_digest(client_key, hash), talk, hash))


def accepts(kept: Verifier, talk: bytes, proof: bytes, hash: str = "sha256") -> bool:
    """Whether the proof is right.  A wrong one takes just as long."""
    client_key = _xor(proof, _hmac(kept.stored, talk, hash))
    return _same(_digest(client_key, hash), kept.stored)


def sign(kept: Verifier, talk: bytes, hash: str = "sha256") -> bytes:
    """The daemon's own proof."""
    return _hmac(kept.server, talk, hash)


def is_signed(key: bytes, talk: bytes, signature: bytes, hash: str = "sha256") -> bool:
    """Whether the other side holds the verifier of this salted key."""
    server_key = _hmac(key, b"Server Key", hash)
    return _same(_hmac(server_key, talk, hash), signature)


def _client_key(key: bytes, hash: str) -> bytes:
    return _hmac(key, b"Client Key", hash)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


# OpenSSL takes 3 ms to start, and most clients prove nothing: so it is imported by what needs it.
# A daemon imports it at its start (rules/claims.py).

def _digest(data: bytes, hash: str) -> bytes:
    import hashlib
    return hashlib.new(hash, data).digest()


def _hmac(key: bytes, data: bytes, hash: str) -> bytes:
    import hmac
    return hmac.digest(key, data, hash)


def _same(one: bytes, other: bytes) -> bool:
    """Whether they are equal; it takes as long if they are not."""
    import hmac
    return hmac.compare_digest(one, other)


def prepare(passphrase: str) -> str:
    """SASLprep (RFC 4013): the same passphrase, however a keyboard composes its letters.

    Raises ValueError with the reason why this can't be a passphrase."""
    import stringprep  # 1 ms, and the tables are for a passphrase that is typed
    prohibited = (stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3,
                  stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6,
                  stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9)
    mapped = "".join(" " if stringprep.in_table_c12(c) else c
                     for c in passphrase if not stringprep.in_table_b1(c))
    text = unicodedata.normalize("NFKC", mapped)
    if not text:
        raise ValueError("an empty passphrase protects nothing")
    if any(is_bad(c) for c in text for is_bad in prohibited):
        raise ValueError("a passphrase has no control characters and no private ones")
    if any(map(stringprep.in_table_d1, text)) and (
            any(map(stringprep.in_table_d2, text))
            or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))):
        raise ValueError("a passphrase in a right-to-left script begins and ends in it, "
                         "with no left-to-right letters")
    return text
