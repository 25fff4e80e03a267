"""What a server keeps of passwords: keys for SCRAM (RFC 5803), hashes by scrypt, users of these."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import (
    Authenticator,
    GrammarError,
    HashedPasswords,
    Identity,
    Login,
    ScramKeys,
    Secret,
    StoredKeys,
    hash_password,
)
from smtpproto.limits import SCRAM_ITERATIONS, SCRAM_USUAL
from smtpproto.sasl import offers
from smtpproto.sasl.scram import ScramClient, ScramServer

from .scram_pair import HASHES, PLAIN_CHANNEL, SALT, answer, converse

OTHER = bytes(reversed(SALT))
KEYS = ScramKeys.derive("secret", salt=SALT, iterations=4096)
CHEAP = hash_password("secret", salt=SALT, ln=10, p=1)

# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hash_name", "salt", "text"),
    [
        (  # of the example of RFC 5802 5
            "SHA-1",
            "4125c247e43ab1e93c6dff76",
            "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92"
            "$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
        ),
        (  # and of that of RFC 7677 3
            "SHA-256",
            "5b6d99689d12358eeca04b141236fa81",
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
            "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        ),
    ],
)
def test_keys_as_text(hash_name: str, salt: str, text: str) -> None:
    keys = ScramKeys.derive(
        "pencil", salt=bytes.fromhex(salt), iterations=4096, hash_name=hash_name
    )
    assert str(keys) == text
    assert ScramKeys.parse(text) == keys
    assert ScramKeys.parse(text.replace("$", " $  ")) == keys  # RFC 3112 has blanks there
    assert keys.matches("pencil") and keys.matches(Secret("pencil"))
    assert not keys.matches("pencils")
    assert text.partition("$")[2][5:] not in repr(keys)


@pytest.mark.req("RFC5802-5.1-07", "RFC7677-3-01")
@pytest.mark.parametrize("hash_name", HASHES)
def test_iterations_by_default(hash_name: str) -> None:
    """What is stored, and so what is announced; fewer are not to be had."""
    keys = ScramKeys.derive("secret", salt=SALT, hash_name=hash_name)
    assert keys.iterations >= 4096
    server = ScramServer(StoredKeys({"ann": keys}), PLAIN_CHANNEL, hash_name)
    assert int(answer(server, "n,,n=ann,r=n").partition(",i=")[2]) >= 4096
    for iterations in (1, 4095, SCRAM_ITERATIONS[1] + 1):
        with pytest.raises(GrammarError, match="iterations"):
            ScramKeys.derive("secret", salt=SALT, iterations=iterations, hash_name=hash_name)


@given(
    st.sampled_from(HASHES),
    st.integers(*SCRAM_ITERATIONS),
    st.binary(min_size=1, max_size=40),
    st.data(),
)
def test_what_keys_say_they_are_read_from(
    hash_name: str, iterations: int, salt: bytes, data: st.DataObject
) -> None:
    size = hashlib.new(hash_name.replace("-", "")).digest_size
    stored, server = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    keys = ScramKeys(hash_name, iterations, salt, stored, server)
    assert ScramKeys.parse(str(keys)) == keys


@given(st.one_of(st.text(), st.text("SCRAM-SHA-256$4096:AAAA=", max_size=40)))
def test_only_our_error_escapes(text: str) -> None:
    for read in (ScramKeys.parse, lambda text: HashedPasswords({"ann": text})):
        with pytest.raises(GrammarError) as caught:
            read(text)
        assert len(text) < 4 or text not in str(caught.value)


GOOD = str(KEYS)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("SHA-256", "SHA-1"),
        GOOD.replace("SHA-256", "SHA-512"),
        GOOD.replace("SCRAM", "scram"),
        GOOD.replace("$4096", "$4095"),
        GOOD.replace("$4096", "$04096"),
        GOOD.replace("$4096", "$1000001"),
        GOOD.replace("$4096", "$\u0664\u0660\u0669\u0666"),
        GOOD[:-1],
        GOOD + "$",
        GOOD + "\n",
        GOOD.replace("=", ""),
        GOOD.replace("=", "\u00fc"),
        GOOD.replace("$4096:AAEC", "$4096:****"),
    ],
)
def test_what_are_no_keys(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        ScramKeys.parse(text)
    assert GOOD[-20:-2] not in str(caught.value)


def test_what_makes_no_keys() -> None:
    for password in ("", "\u00ad", "a\x07", Secret(b"\xff")):
        with pytest.raises(GrammarError):
            ScramKeys.derive(password, salt=SALT)
    with pytest.raises(GrammarError, match="SHA-512"):
        ScramKeys.derive("secret", salt=SALT, hash_name="SHA-512")
    with pytest.raises(GrammarError, match="salt"):
        ScramKeys.derive("secret", salt=b"")
    with pytest.raises(GrammarError, match="keys"):
        ScramKeys("SHA-1", 4096, SALT, bytes(32), bytes(32))


# -- hashes ----------------------------------------------------------------------------------


def test_hashes_are_those_of_rfc_7914() -> None:
    """The RFC's own example, and one that passlib's documentation shows."""
    made = hash_password("pleaseletmein", salt=b"SodiumChloride--", ln=14, r=8, p=1)
    digest = hashlib.scrypt(b"pleaseletmein", salt=b"SodiumChloride--", n=2**14, r=8, p=1, dklen=32)
    assert made.split("$")[:3] == ["", "scrypt", "ln=14,r=8,p=1"]
    assert b64decode(made.rpartition("$")[2] + "=") == digest
    passlib = (
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
    )
    users = HashedPasswords({"ann": passlib})
    assert users.check_password("ann", Secret("password")) is True
    assert users.check_password("ann", Secret("passwords")) is False


def test_the_usual_costs() -> None:
    made = hash_password("secret", salt=SALT)
    assert made.startswith("$scrypt$ln=14,r=8,p=5$AAECAwQFBgcICQoLDA0ODw$")
    assert HashedPasswords({"ann": made}).check_password("ann", Secret("secret"))


@given(
    st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and text.isascii()),
    st.binary(min_size=16, max_size=64),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_a_password_matches_its_hash_and_no_other(
    password: str, salt: bytes, r: int, p: int
) -> None:
    users = HashedPasswords({"ann": hash_password(password, salt=salt, ln=10, r=r, p=p)})
    assert users.check_password("ann", Secret(password)) is True
    assert users.check_password("ann", Secret(password + "x")) is False
    assert users.check_password("bob", Secret(password)) is False


def test_passwords_are_prepared_before_they_are_hashed() -> None:
    assert hash_password("I\u00adX", salt=SALT, ln=10) == hash_password("\u2168", salt=SALT, ln=10)
    assert hash_password(Secret("IX"), salt=SALT, ln=10) == hash_password("IX", salt=SALT, ln=10)
    for password in ("", "\u00ad", "a\x07", Secret(b"\xff"), Secret("")):
        with pytest.raises(GrammarError):
            hash_password(password, salt=SALT, ln=10)


@pytest.mark.parametrize(
    ("salt", "ln", "r", "p"),
    [
        (bytes(15), 10, 8, 1),
        (bytes(65), 10, 8, 1),
        (SALT, 9, 8, 1),
        (SALT, 21, 1, 1),
        (SALT, 10, 0, 1),
        (SALT, 10, 33, 1),
        (SALT, 10, 8, 0),
        (SALT, 10, 8, 17),
        (SALT, 19, 8, 1),  # 512 MiB
    ],
)
def test_costs_out_of_bounds(salt: bytes, ln: int, r: int, p: int) -> None:
    with pytest.raises(GrammarError):
        hash_password("secret", salt=salt, ln=ln, r=r, p=p)


# -- users -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        CHEAP.replace("ln=10", "ln=9"),
        CHEAP.replace("ln=10", "ln=31"),
        CHEAP.replace("ln=10", "ln=010"),
        CHEAP.replace("ln=10,r=8", "ln=20,r=8"),
        CHEAP.replace("p=1", "p=99"),
        CHEAP.replace("r=8", "r=0"),
        CHEAP.replace("$scrypt", "$argon2id"),
        CHEAP[:-1] + "*",
        CHEAP[:-1],
        CHEAP[:-3],
        CHEAP + "A",
        CHEAP.replace("$AAEC", "$AAECAAA"),  # no base64 has this length
        CHEAP.replace("$AAEC", "$"),
        CHEAP + "=",
        CHEAP + "\n",
    ],
)
def test_a_hash_that_cannot_be_read(text: str) -> None:
    """The error names the user, and does not show the hash."""
    with pytest.raises(GrammarError, match="user 'ann'") as caught:
        HashedPasswords({"bob": CHEAP, "ann": text})
    assert CHEAP[-20:-4] not in str(caught.value)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "kept", ["", "secret", GOOD[:-4], [], [KEYS, KEYS], [GOOD, KEYS], [GOOD, "x"]]
)
def test_keys_that_cannot_be_read(kept: str | list[str | ScramKeys]) -> None:
    with pytest.raises(GrammarError, match="user 'ann'") as caught:
        StoredKeys({"bob": GOOD, "ann": kept})
    assert GOOD[-20:-4] not in str(caught.value)


MAKERS: list[Callable[[dict[str, str]], Authenticator]] = [
    lambda names: HashedPasswords(dict.fromkeys(names, CHEAP)),
    lambda names: StoredKeys(dict.fromkeys(names, GOOD)),
]
READY = pytest.mark.parametrize("make", MAKERS, ids=["hashes", "keys"])


@READY
def test_names_are_prepared(make: Callable[[dict[str, str]], Authenticator]) -> None:
    users = make(dict.fromkeys(["\u2168", "bob"], ""))
    assert users.check_password("IX", Secret("secret")) is True
    assert users.check_password("\u2168", Secret("secret")) is False  # who asks has prepared it
    for name in ("", "\u00ad", "a\x07", "\ud800"):
        with pytest.raises(GrammarError, match="user "):
            make({name: ""})
    with pytest.raises(GrammarError, match="twice"):
        make(dict.fromkeys(["IX", "\u2168"], ""))


@READY
def test_no_hash_is_shown(make: Callable[[dict[str, str]], Authenticator]) -> None:
    users = make(dict.fromkeys(["ann", "bob"], ""))
    assert repr(users) == f"{type(users).__name__}(2 users)"


@READY
def test_users_are_read_once(make: Callable[[dict[str, str]], Authenticator]) -> None:
    names = {"ann": ""}
    users = make(names)
    names["bob"] = names.pop("ann")
    assert users.check_password("ann", Secret("secret")) is True
    assert users.check_password("bob", Secret("secret")) is False


@READY
def test_users_who_do_not_exist_cost_the_same(
    make: Callable[[dict[str, str]], Authenticator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same computation, with the same costs; and nobody at all gets in by it."""
    users, costs = make({"ann": ""}), []

    def scrypt(password: bytes, *, salt: bytes, dklen: int, **cost: int) -> bytes:
        costs.append((len(salt), dklen, cost))
        return bytes(dklen)

    def pbkdf2(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        costs.append((len(salt), 32, {name: iterations}))
        return b""

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", pbkdf2)
    assert users.check_password("ann", Secret("x")) is False
    assert users.check_password("bob", Secret("x")) is False  # whom any hash would match
    assert len(costs) == 2
    assert costs[0] == costs[1]


def test_the_costs_are_those_that_most_users_have(monkeypatch: pytest.MonkeyPatch) -> None:
    dear = hash_password("secret", salt=SALT, ln=11, p=2)
    users, costs = HashedPasswords({"ann": CHEAP, "bob": dear, "eve": dear}), []
    real = hashlib.scrypt

    def scrypt(password: bytes, **cost: int) -> bytes:
        costs.append((cost["n"], cost["r"], cost["p"]))
        return real(password, **cost)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    assert users.check_password("nobody", Secret("secret")) is False
    assert costs == [(2**11, 8, 2)]


def test_nobody_at_all() -> None:
    assert HashedPasswords({}).check_password("ann", Secret("secret")) is False
    assert StoredKeys({}).check_password("ann", Secret("secret")) is False
    assert StoredKeys({}).decoy_shape("SHA-256") == (SCRAM_USUAL, 16)


def test_what_is_offered() -> None:
    assert offers(HashedPasswords({}), PLAIN_CHANNEL, ["PLAIN", "SCRAM-SHA-256"]) == ("PLAIN",)
    assert offers(StoredKeys({}), PLAIN_CHANNEL, ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]) == (
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "PLAIN",
    )


def test_keys_for_both_hashes() -> None:
    old = ScramKeys.derive("secret", salt=OTHER, hash_name="SHA-1")
    users = StoredKeys({"ann": [str(old), KEYS], "bob": old, "eve": iter([GOOD])})
    assert users.scram_keys("ann", "SHA-1") == users.scram_keys("bob", "SHA-1") == old
    assert users.scram_keys("ann", "SHA-256") == users.scram_keys("eve", "SHA-256") == KEYS
    assert users.scram_keys("bob", "SHA-256") is None is users.scram_keys("nobody", "SHA-1")
    for name in ("ann", "bob", "eve"):
        assert users.check_password(name, Secret("secret")) is True
        assert users.check_password(name, Secret("wrong")) is False
    for hash_name in HASHES:
        client = ScramClient(Login("ann", "secret"), PLAIN_CHANNEL, hash_name)
        end = converse(client, ScramServer(users, PLAIN_CHANNEL, hash_name))
        assert end == Identity("ann", mechanism=f"SCRAM-{hash_name}")


def test_decoys_are_like_the_users() -> None:
    """As most of them, for each hash."""
    many = ScramKeys.derive("secret", salt=bytes(24), iterations=5000)
    old = ScramKeys.derive("secret", salt=bytes(12), iterations=6000, hash_name="SHA-1")
    users = StoredKeys({"a": [many, old], "b": many, "c": KEYS})
    assert users.decoy_shape("SHA-256") == (5000, 24)
    assert users.decoy_shape("SHA-1") == (6000, 12)
    known, unknown = (
        answer(ScramServer(users, PLAIN_CHANNEL, "SHA-256"), f"n,,n={name},r=n").split(",")
        for name in ("b", "nobody")
    )
    assert known[2] == unknown[2] == "i=5000"
    assert len(known[1]) == len(unknown[1]) and known[1] != unknown[1]
