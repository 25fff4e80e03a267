"""Private keys read, made, written and used; public keys read."""

from __future__ import annotations

import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from smtpproto import GrammarError, Secret
from smtpproto.adapters.cryptography_keys import CryptographyKeys, PrivateKey
from smtpproto.policy import Algorithm, DKIMKey
from tests.policy.signing import KEYS, ed25519_key, rsa_key


@pytest.fixture(scope="module")
def short() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


def both() -> list[PrivateKey]:
    return [rsa_key(), ed25519_key()]


def test_what_a_key_signs_its_public_key_verifies() -> None:
    for key in both():
        public_key = KEYS.read(key.algorithm, key.public_key())
        signature = key.sign(b"octets")
        assert public_key.verify(b"octets", signature)
        assert not public_key.verify(b"octet", signature)
        assert not public_key.verify(b"octets", signature[:-1])
        assert not public_key.verify(b"octets", b"")
        assert public_key.bits == key.bits


@pytest.mark.req("RFC8463-3-01")
def test_ed25519_signs_the_hash() -> None:
    key = ed25519_key()
    inner: Any = key._key.public_key()
    inner.verify(key.sign(b"octets"), sha256(b"octets").digest())


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_key_that_was_written_is_read_again_from_octets_and_from_a_file(
    encrypted: bool, tmp_path: Path
) -> None:
    password = Secret("hush") if encrypted else None
    for key in both():
        pem = key.pem(password)
        (tmp_path / "key.pem").write_bytes(pem)
        for source in (pem, tmp_path / "key.pem"):
            assert PrivateKey.load(source, password).public_key() == key.public_key()


def test_pkcs1_and_der_are_read() -> None:
    key: Any = rsa_key()._key
    for encoding in (Encoding.PEM, Encoding.DER):
        for form in (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8):
            octets = key.private_bytes(encoding, form, NoEncryption())
            assert PrivateKey.load(octets).public_key() == rsa_key().public_key()


def test_both_forms_of_rsa_keys_in_records_are_read() -> None:
    public: Any = rsa_key()._key.public_key()
    for form in (PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo):
        read = KEYS.read(Algorithm.RSA_SHA256, public.public_bytes(Encoding.DER, form))
        assert read.verify(b"x", rsa_key().sign(b"x"))


def test_the_record_of_a_key_is_read_as_its_public_key() -> None:
    for key in both():
        record = DKIMKey.parse(key.record().encode())
        assert record.public_key == key.public_key()
        assert record.key_type == key.algorithm.key_type


@pytest.mark.req("RFC8301-3.2-02")
def test_a_short_rsa_key_signs_only_if_that_is_allowed(short: rsa.RSAPrivateKey) -> None:
    pem = short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(GrammarError, match="an RSA key of 1024 bits; use one of at least 2048"):
        PrivateKey.load(pem)
    with pytest.raises(GrammarError, match="1024 bits"):
        PrivateKey(short)
    assert PrivateKey.load(pem, allow_short=True).bits == 1024
    with pytest.raises(ValueError, match="bits must be 2048 or more"):
        PrivateKey.generate(bits=1024)


@pytest.mark.req("RFC8301-3.2-01")
def test_a_key_of_fewer_than_1024_bits_never_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrivateKey, "bits", 1023)
    with pytest.raises(GrammarError, match="an RSA key of 1023 bits; use one of at least 1024"):
        PrivateKey.load(rsa_key().pem(), allow_short=True)


@pytest.mark.parametrize(
    ("source", "password", "reason"),
    [
        (b"", None, "not a private key in PEM or DER"),
        (b"-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n", None, "not a private"),
        (b"\x30\x82hush", b"hush", "not a private key in PEM or DER with this password"),
    ],
)
def test_what_is_not_a_key_is_refused_and_not_shown(
    source: bytes, password: bytes | None, reason: str
) -> None:
    with pytest.raises(GrammarError, match=reason) as caught:
        PrivateKey.load(source, password)
    assert "hush" not in str(caught.value)


def test_a_password_that_is_wrong_missing_or_superfluous_is_refused() -> None:
    locked, open_ = ed25519_key().pem("hush"), ed25519_key().pem()
    for source, password, reason in (
        (locked, "other", "with this password"),
        (locked, None, "the key is encrypted: give its password"),
        (open_, "hush", "the key is not encrypted: give no password"),
    ):
        with pytest.raises(GrammarError, match=reason):
            PrivateKey.load(source, password)


def test_a_key_of_another_kind_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(GrammarError, match="pass one for RSA or Ed25519"):
        PrivateKey.load(pem)
    octets = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in Algorithm:
        with pytest.raises(GrammarError, match="not a public key for"):
            CryptographyKeys().read(algorithm, octets)


def test_a_public_key_that_is_too_long_is_not_read() -> None:
    for algorithm in Algorithm:
        with pytest.raises(GrammarError, match="a public key of more than 4096 octets"):
            KEYS.read(algorithm, rsa_key().public_key() + bytes(4096))


def test_a_private_key_is_neither_printed_nor_pickled() -> None:
    for key in both():
        shown = f"PrivateKey({key.algorithm.value}, {key.bits} bits, ***)"
        assert repr(key) == str(key) == shown
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(key)


def test_a_source_that_is_neither_octets_nor_a_path_is_refused() -> None:
    with pytest.raises(TypeError, match="source cannot be of the type str; pass a Path"):
        PrivateKey.load("key.pem")  # type: ignore[arg-type]


def test_an_algorithm_that_is_a_str_is_refused() -> None:
    with pytest.raises(TypeError, match=r"algorithm cannot be of the type str; pass Algorithm\."):
        PrivateKey.generate("ed25519")  # type: ignore[arg-type]
