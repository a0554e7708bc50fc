"""SCRAM against the vectors of RFC 5802, 7677 and 4013; wrong, replayed and twisted proofs."""
import itertools
import random
import struct
import unittest
from base64 import b64decode

from net import scram
from net.scram import Binding

NONCE = bytes(range(16)).hex()


class Vectors(unittest.TestCase):
    def exchange(self, hash, client, server, salt, proof, signature):
        """The user `user` with the passphrase `pencil`, 4096 iterations."""
        salt = b64decode(salt)
        key = scram.derive("pencil", salt, 4096, hash)
        kept = scram.verifier(key, salt, 4096, hash)
        talk = scram.conversation("user", client, server, salt, 4096, Binding())
        self.assertEqual(scram.prove(key, talk, hash), b64decode(proof))
        self.assertEqual(scram.sign(kept, talk, hash), b64decode(signature))
        self.assertTrue(scram.accepts(kept, talk, b64decode(proof), hash))
        self.assertTrue(scram.is_signed(key, talk, b64decode(signature), hash))

    def test_rfc_5802(self):
        self.exchange("sha1", "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
                      "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=")

    def test_rfc_7677(self):
        self.exchange("sha256", "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                      "W22ZaJ0SNY7soEsUEjb6gQ==", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                      "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")

    def test_rfc_5802_auth_message(self):
        self.assertEqual(
            scram.conversation("user", "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                               b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096, Binding()),
            b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")

    def test_rfc_4013(self):
        pairs = (("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"),
                 ("\u2168", "IX"), ("a\u00a0b", "a b"), ("e\u0301", "\u00e9"),
                 ("\u0627\u0031\u0628", "\u0627\u0031\u0628"))
        for given, prepared in pairs:
            self.assertEqual(scram.prepare(given), prepared)
        for wrong in ("", "\u00ad", "\u0007", "\u0627\u0031", "\u0627a\u0627", "a\ue000b",
                      "\ud800"):
            self.assertRaises(ValueError, scram.prepare, wrong)


class Proofs(unittest.TestCase):
    def setUp(self):
        self.salt = b"s" * 16
        self.key = scram.derive("right", self.salt, 4096)
        self.kept = scram.verifier(self.key, self.salt, 4096)

    def talk(self, **other):
        fields = {"name": "ann", "client": NONCE, "server": NONCE, "salt": self.salt,
                  "iterations": 4096, "binding": Binding()} | other
        return scram.conversation(**fields)

    def test_a_verifier_packs(self):
        self.assertEqual(scram.Verifier.unpack(self.kept.pack()), self.kept)
        self.assertRaises(struct.error, scram.Verifier.unpack, self.kept.pack()[1:])

    def test_a_proof_is_of_one_conversation_alone(self):
        proof = scram.prove(self.key, self.talk())
        self.assertTrue(scram.accepts(self.kept, self.talk(), proof))
        for other in ({"name": "bob"}, {"client": NONCE[::-1]}, {"server": NONCE[::-1]},
                      {"iterations": 4097}, {"salt": b"t" * 16}):
            self.assertFalse(scram.accepts(self.kept, self.talk(**other), proof), other)
            self.assertFalse(scram.is_signed(self.key, self.talk(**other),
                                             scram.sign(self.kept, self.talk())), other)

    def test_a_proof_is_of_one_door_alone(self):
        doors = [Binding(), scram.TCP, scram.unix(None), scram.unix(0), scram.unix(1000),
                 Binding(scram.TLS, b"c" * 32), Binding(scram.TLS, b"d" * 32)]
        for ours, theirs in itertools.product(doors, doors):
            proof = scram.prove(self.key, self.talk(binding=ours))
            self.assertEqual(scram.accepts(self.kept, self.talk(binding=theirs), proof),
                             ours == theirs, (ours, theirs))

    def test_the_header_of_a_binding(self):
        """RFC 5802, section 7; and what a program of 0.1 signs in the same place."""
        secured = Binding(scram.TLS, b"c" * 32)
        for binding, header, before in (
                (Binding(), b"n,,", b"n,,"), (scram.TCP, b"p=tcp,,", b"n,,"),
                (scram.unix(1000), b"p=unix-listener,,\0\0\x03\xe8", b"n,,"),
                (scram.unix(None), b"p=unix-listener,,", b"n,,"),
                (secured, b"p=tls-server-end-point,," + b"c" * 32, secured.header)):
            self.assertEqual((binding.header, binding.before.header), (header, before))

    def test_a_verifier_alone_makes_no_proof(self):
        for stolen in (self.kept.stored, self.kept.server):
            self.assertFalse(scram.accepts(self.kept, self.talk(),
                                           scram.prove(stolen, self.talk())))

    def test_a_thousand_wrong_proofs(self):
        chance, right = random.Random(1), scram.prove(self.key, self.talk())
        for number in range(1000):
            wrong = bytearray(right)
            wrong[number % 32] ^= chance.randrange(1, 256)
            self.assertFalse(scram.accepts(self.kept, self.talk(), bytes(wrong)))


if __name__ == "__main__":
    unittest.main()
