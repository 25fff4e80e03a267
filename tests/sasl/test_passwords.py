"""Stored passwords: scrypt hashes, and the ready-made authenticators for hashes and keys."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import (
    Authenticator,
    GrammarError,
    HashedPasswords,
    Identity,
    Login,
    PlainPasswords,
    ScramKeys,
    Secret,
    StoredKeys,
    hash_password,
)
from smtpproto.limits import SCRAM_DEFAULT_ITERATIONS
from smtpproto.sasl import Channel, offers
from smtpproto.sasl.scram import ScramClient, ScramServer

from .scram_exchanges import HASHES, SALT, UNBOUND, challenge_after, log_in

OTHER_SALT = bytes(reversed(SALT))
KEYS = ScramKeys.derive("secret", salt=SALT, iterations=4096)
KEYS_TEXT = str(KEYS)
CHEAP = hash_password("secret", salt=SALT, ln=10, p=1)

# -- plain passwords -----------------------------------------------------------------------------


def test_users_with_plain_passwords_can_log_in_by_plain_login_and_cram_md5() -> None:
    users = PlainPasswords({"ann": "secret", "Ⅸ": Secret("pä55")})
    channel = Channel(random=bytes, secure=True)
    assert offers(users, channel) == ("CRAM-MD5", "PLAIN", "LOGIN")
    for username, password in (("ann", "secret"), ("IX", "pä55")):
        assert users.check_password(username, Secret(password)) is True
        assert users.shared_secret(username) == password
        for other in ("", "Secret", f"{password} "):
            assert users.check_password(username, Secret(other)) is False
    for other in ("secret", ""):
        assert users.check_password("bob", Secret(other)) is False
    assert users.shared_secret("bob") is None
    assert "secret" not in repr(users)


@pytest.mark.parametrize(
    ("users", "kind", "reason"),
    [
        (["ann"], TypeError, "users cannot be of the type list; pass a mapping"),
        ({"ann": 5}, TypeError, r'a password cannot be of the type int; pass a str, as in \{"ann"'),
        ({"ann": None}, TypeError, "a password cannot be None"),
        ({b"ann": "x"}, TypeError, "the name of a user cannot be of the type bytes"),
        ({"ann": ""}, GrammarError, "user 'ann'"),
        ({"ann": "a\x07"}, GrammarError, "user 'ann'"),
    ],
    ids=str,
)
def test_plain_passwords_that_cannot_be_used_are_errors(
    users: Any, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        PlainPasswords(users)


# -- hashes --------------------------------------------------------------------------------------


def test_hashes_match_the_examples_of_rfc_7914_and_passlib() -> None:
    """The example of the RFC, and the one in the documentation of passlib."""
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


def test_hashes_have_the_costs_14_8_5_by_default() -> None:
    made = hash_password("secret", salt=SALT)
    assert made.startswith("$scrypt$ln=14,r=8,p=5$AAECAwQFBgcICQoLDA0ODw$")
    assert HashedPasswords({"ann": made}).check_password("ann", Secret("secret"))


@given(
    st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and text.isascii()),
    st.binary(min_size=16, max_size=64),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_a_password_matches_only_its_own_hash(password: str, salt: bytes, r: int, p: int) -> None:
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
def test_salts_and_costs_out_of_bounds_are_refused(salt: bytes, ln: int, r: int, p: int) -> None:
    with pytest.raises(GrammarError):
        hash_password("secret", salt=salt, ln=ln, r=r, p=p)


# -- users ---------------------------------------------------------------------------------------


@given(st.one_of(st.text(), st.text("$scrypt$ln=10,r=8,p=1$AAAA", max_size=40)))
def test_text_that_is_not_a_hash_raises_a_grammar_error_that_hides_it(text: str) -> None:
    with pytest.raises(GrammarError):
        HashedPasswords({"ann": text})
    with pytest.raises(GrammarError) as caught:
        HashedPasswords({"ann": f"{text}hunter2"})
    assert "hunter2" not in str(caught.value)


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
        CHEAP.replace("$AAEC", "$AAECAAA"),  # not a valid length for base64
        CHEAP.replace("$AAEC", "$"),
        CHEAP + "=",
        CHEAP + "\n",
    ],
)
def test_the_error_of_an_invalid_hash_names_the_user_and_hides_the_hash(text: str) -> None:
    with pytest.raises(GrammarError, match="user 'ann'") as caught:
        HashedPasswords({"bob": CHEAP, "ann": text})
    assert CHEAP[-20:-4] not in str(caught.value)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["", "secret", KEYS_TEXT[:-4], [], [KEYS, KEYS], [KEYS_TEXT, KEYS], [KEYS_TEXT, "x"]]
)
def test_the_error_of_invalid_keys_names_the_user_and_hides_the_keys(
    value: str | list[str | ScramKeys],
) -> None:
    with pytest.raises(GrammarError, match="user 'ann'") as caught:
        StoredKeys({"bob": KEYS_TEXT, "ann": value})
    assert KEYS_TEXT[-20:-4] not in str(caught.value)


MAKE_USERS: list[Callable[[dict[str, str]], Authenticator]] = [
    lambda names: HashedPasswords(dict.fromkeys(names, CHEAP)),
    lambda names: StoredKeys(dict.fromkeys(names, KEYS_TEXT)),
]
BOTH_CLASSES = pytest.mark.parametrize("make_users", MAKE_USERS, ids=["hashes", "keys"])


@BOTH_CLASSES
def test_user_names_are_prepared_and_may_not_collide(
    make_users: Callable[[dict[str, str]], Authenticator],
) -> None:
    users = make_users(dict.fromkeys(["\u2168", "bob"], ""))
    assert users.check_password("IX", Secret("secret")) is True
    assert users.check_password("\u2168", Secret("secret")) is False  # callers prepare names
    for name in ("", "\u00ad", "a\x07", "\ud800"):
        with pytest.raises(GrammarError, match="user "):
            make_users({name: ""})
    with pytest.raises(GrammarError, match="twice"):
        make_users(dict.fromkeys(["IX", "\u2168"], ""))


@BOTH_CLASSES
def test_repr_shows_only_the_number_of_users(
    make_users: Callable[[dict[str, str]], Authenticator],
) -> None:
    users = make_users(dict.fromkeys(["ann", "bob"], ""))
    assert repr(users) == f"{type(users).__name__}(2 users)"


@BOTH_CLASSES
def test_later_changes_to_the_mapping_of_users_have_no_effect(
    make_users: Callable[[dict[str, str]], Authenticator],
) -> None:
    names = {"ann": ""}
    users = make_users(names)
    names["bob"] = names.pop("ann")
    assert users.check_password("ann", Secret("secret")) is True
    assert users.check_password("bob", Secret("secret")) is False


@BOTH_CLASSES
def test_a_check_for_an_unknown_user_takes_the_same_computation(
    make_users: Callable[[dict[str, str]], Authenticator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password of an unknown user is refused even if it matches the decoy."""
    users, costs = make_users({"ann": ""}), []

    def scrypt(password: bytes, *, salt: bytes, dklen: int, **cost: int) -> bytes:
        costs.append((len(salt), dklen, cost))
        return bytes(dklen)

    def pbkdf2(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        costs.append((len(salt), 32, {name: iterations}))
        return b""

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", pbkdf2)
    assert users.check_password("ann", Secret("x")) is False
    assert users.check_password("bob", Secret("x")) is False  # here every password matches
    assert len(costs) == 2
    assert costs[0] == costs[1]


def test_a_check_for_an_unknown_user_has_the_cost_of_most_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costly = hash_password("secret", salt=SALT, ln=11, p=2)
    users, costs = HashedPasswords({"ann": CHEAP, "bob": costly, "eve": costly}), []
    original = hashlib.scrypt

    def scrypt(password: bytes, **cost: int) -> bytes:
        costs.append((cost["n"], cost["r"], cost["p"]))
        return original(password, **cost)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    assert users.check_password("nobody", Secret("secret")) is False
    assert costs == [(2**11, 8, 2)]


def test_without_users_all_logins_fail_and_decoys_have_defaults() -> None:
    assert HashedPasswords({}).check_password("ann", Secret("secret")) is False
    assert StoredKeys({}).check_password("ann", Secret("secret")) is False
    assert StoredKeys({}).decoy_shape("SHA-256") == (SCRAM_DEFAULT_ITERATIONS, 16)


def test_hashes_offer_plain_and_keys_offer_scram_too() -> None:
    assert offers(HashedPasswords({}), UNBOUND, ["PLAIN", "SCRAM-SHA-256"]) == ("PLAIN",)
    assert offers(StoredKeys({}), UNBOUND, ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]) == (
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "PLAIN",
    )


def test_a_user_may_have_keys_for_both_hashes() -> None:
    sha1_keys = ScramKeys.derive("secret", salt=OTHER_SALT, hash_name="SHA-1")
    users = StoredKeys({"ann": [str(sha1_keys), KEYS], "bob": sha1_keys, "eve": iter([KEYS_TEXT])})
    assert users.scram_keys("ann", "SHA-1") == users.scram_keys("bob", "SHA-1") == sha1_keys
    assert users.scram_keys("ann", "SHA-256") == users.scram_keys("eve", "SHA-256") == KEYS
    assert users.scram_keys("bob", "SHA-256") is None is users.scram_keys("nobody", "SHA-1")
    for name in ("ann", "bob", "eve"):
        assert users.check_password(name, Secret("secret")) is True
        assert users.check_password(name, Secret("wrong")) is False
    for hash_name in HASHES:
        client = ScramClient(Login("ann", "secret"), UNBOUND, hash_name)
        result = log_in(client, ScramServer(users, UNBOUND, hash_name))
        assert result == Identity("ann", mechanism=f"SCRAM-{hash_name}")


def test_decoys_look_like_the_keys_of_most_users() -> None:
    many = ScramKeys.derive("secret", salt=bytes(24), iterations=5000)
    sha1_keys = ScramKeys.derive("secret", salt=bytes(12), iterations=6000, hash_name="SHA-1")
    users = StoredKeys({"a": [many, sha1_keys], "b": many, "c": KEYS})
    assert users.decoy_shape("SHA-256") == (5000, 24)
    assert users.decoy_shape("SHA-1") == (6000, 12)
    known, unknown = (
        challenge_after(ScramServer(users, UNBOUND, "SHA-256"), f"n,,n={name},r=n").split(",")
        for name in ("b", "nobody")
    )
    assert known[2] == unknown[2] == "i=5000"
    assert len(known[1]) == len(unknown[1]) and known[1] != unknown[1]
