"""SCRAM (RFC 5802, RFC 7677): the published examples, laws, and who may log in."""

from __future__ import annotations

import hmac
import itertools
import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smtpproto import (
    Authenticator,
    GrammarError,
    Identity,
    LocalProtocolError,
    Login,
    RemoteProtocolError,
    ScramKeys,
    Secret,
    SMTPError,
)
from smtpproto.adapters.blocking import run
from smtpproto.grammar.xtext import decode_base64, encode_base64
from smtpproto.sasl import BY_NAME, MECHANISMS, Denied, scram
from smtpproto.sasl.prepare import prepared_text
from smtpproto.sasl.scram import ScramClient, ScramServer
from smtpproto.sasl.scram_keys import client_key

from .scram_pair import (
    ANN,
    BOUND,
    HASHES,
    LOGIN,
    PLAIN_CHANNEL,
    SALT,
    Users,
    answer,
    converse,
    final,
    finale,
    server_of,
)

# -- the published examples ------------------------------------------------------------------

SHA1 = (
    "SHA-1",
    "QSXCR+Q6sek8bf92",
    "fyko+d2lbbFgONRv9qkxdawL",
    "3rfcNHYJY1ZVvWVs7j",
    "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
SHA256 = (
    "SHA-256",
    "W22ZaJ0SNY7soEsUEjb6gQ==",
    "rOprNGfwEbeRWgbNEkqO",
    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)


def published(example: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides say what the RFC has, octet for octet."""
    hash_name, salt, c_nonce, s_nonce, first, server_first, client_final, server_final = example
    nonces = iter([c_nonce, s_nonce])
    monkeypatch.setattr(scram, "fresh_nonce", lambda channel: next(nonces))
    stored = ScramKeys.derive(
        "pencil", salt=decode_base64(salt.encode()), iterations=4096, hash_name=hash_name
    )

    class Stored(Authenticator):
        def scram_keys(self, username: str, hash_name: str) -> ScramKeys:
            assert username == "user"
            return stored

    client = ScramClient(Login("user", "pencil"), PLAIN_CHANNEL, hash_name)
    server = ScramServer(Stored(), PLAIN_CHANNEL, hash_name)
    assert client.initial() == Secret(first)
    assert run(server.step(Secret(first))) == server_first.encode()
    assert client.step(server_first.encode()) == Secret(client_final)
    assert run(server.step(Secret(client_final))) == server_final.encode()
    assert client.step(server_final.encode()) == Secret("")
    assert run(server.step(Secret(""))) == Identity("user", mechanism=f"SCRAM-{hash_name}")
    client.finish()


def test_the_example_of_rfc_5802(monkeypatch: pytest.MonkeyPatch) -> None:
    published(SHA1, monkeypatch)


@pytest.mark.req("RFC7677-3-02")
def test_the_example_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    published(SHA256, monkeypatch)


# -- laws ------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def _good(text: str) -> bool:
    try:
        return bool(prepared_text(text))
    except GrammarError:
        return False


GOOD = st.one_of(st.text(string.ascii_letters + ",= ", min_size=1), TEXT.filter(_good))


@given(GOOD, GOOD, st.sampled_from(HASHES), st.booleans(), st.booleans())
def test_client_and_server_agree(
    name: str, password: str, hash_name: str, plus: bool, other: bool
) -> None:
    users = Users({prepared_text(name): password}, {(prepared_text(name), "office")})
    login = Login(name, password, "office" if other else "")
    channel = BOUND if plus else PLAIN_CHANNEL
    client, server = (
        ScramClient(login, channel, hash_name, plus),
        ScramServer(users, channel, hash_name, plus),
    )
    mechanism = f"SCRAM-{hash_name}{'-PLUS' if plus else ''}"
    identity = Identity(prepared_text(name), "office" if other else "", mechanism)
    assert converse(client, server) == identity
    assert not client.details


@given(GOOD, GOOD, st.sampled_from(HASHES))
def test_a_wrong_password_fails(right: str, wrong: str, hash_name: str) -> None:
    assume(prepared_text(right) != prepared_text(wrong))
    client = ScramClient(Login("ann", wrong), PLAIN_CHANNEL, hash_name)
    server = ScramServer(Users({"ann": right}), PLAIN_CHANNEL, hash_name)
    assert isinstance(converse(client, server), Denied)
    with pytest.raises(RemoteProtocolError):
        client.finish()


def _mutated(message: bytes, place: int, what: int) -> bytes:
    """*message* with an octet more, less, or another."""
    place %= len(message) + 1
    head, tail = message[:place], message[place:]
    if what < 256:
        return head + bytes([what]) + tail[1:]
    return head + bytes([what - 256]) + tail if what < 512 else head + tail[1:]


@given(st.integers(0, 4), st.integers(0, 500), st.integers(0, 512), st.booleans())
def test_what_is_changed_on_its_way_never_succeeds(
    which: int, place: int, what: int, plus: bool
) -> None:
    """And nothing escapes but our errors."""
    channel, number = (BOUND if plus else PLAIN_CHANNEL), itertools.count()
    client = ScramClient(LOGIN, channel, "SHA-256", plus)
    server = ScramServer(ANN, channel, "SHA-256", plus)

    def on_its_way(message: bytes) -> bytes:
        if next(number) != which:
            return message
        changed = _mutated(message, place, what)
        assume(changed != message)
        return changed

    with pytest.raises(SMTPError):
        response = client.initial()
        while True:
            challenge = run(server.step(Secret(on_its_way(response.reveal()))))
            if isinstance(challenge, Denied):
                raise RemoteProtocolError("a login that failed")
            if isinstance(challenge, Identity):
                client.finish()  # which says no
                pytest.fail("a login that succeeded")
            response = client.step(on_its_way(challenge))


@given(st.lists(st.one_of(st.binary(), TEXT.map(str.encode)), max_size=4), st.booleans())
def test_only_our_errors_escape(messages: list[bytes], plus: bool) -> None:
    client = ScramClient(LOGIN, BOUND, "SHA-256", plus)
    server = ScramServer(ANN, BOUND, "SHA-256", plus)
    for message in messages:
        with pytest.raises(GrammarError):
            run(server.step(Secret(message)))
        if message and not message.startswith(b"e="):
            with pytest.raises(RemoteProtocolError):
                client.step(message)


# -- names, passwords, users -----------------------------------------------------------------


@pytest.mark.req("RFC5802-5.1-10")
def test_names_and_passwords_are_prepared() -> None:
    """Whichever side does it, or does not: the client's name is prepared by the server again."""
    users = Users({"IX": "IX"}, {("IX", "IX2")})
    login = Login("\u2168", "I\u00adX", "\u21682")
    client = ScramClient(login, PLAIN_CHANNEL, "SHA-256")
    assert client.initial().reveal().startswith(b"n,a=IX2,n=IX,r=")
    assert converse(client, server_of(users)) == Identity("IX", "IX2", "SCRAM-SHA-256")
    users.asked.clear()
    answer(server_of(users), "n,,n=\u2168,r=n")
    assert users.asked == [("IX", "SHA-256")]
    kept = ScramKeys.derive("\u2168", salt=SALT)
    assert kept == ScramKeys.derive("IX", salt=SALT) and kept.matches(Secret("\u2168"))


@pytest.mark.req("RFC5802-5.1-10")
@pytest.mark.parametrize(
    "login",
    [
        Login("", "secret"),
        Login("\u00ad", "secret"),
        Login("a\x07", "secret"),
        Login("ann", ""),
        Login("ann", "\u00ad"),
        Login("ann", "a\x07"),
        Login("ann", Secret(b"\xff")),
        Login("ann", "secret", "\u00ad"),
        Login("ann", "secret", "a\x07"),
        Login("\ud800", "secret"),
    ],
)
def test_logins_that_cannot_be_prepared(login: Login) -> None:
    with pytest.raises(GrammarError):
        ScramClient(login, PLAIN_CHANNEL, "SHA-256")


def test_acting_as_another() -> None:
    """Only with the authenticator's leave; the proof of the server comes with it."""
    login = Login("ann", "secret", "bob")
    may = Users({"ann": "secret"}, {("ann", "bob")})
    client = ScramClient(login, PLAIN_CHANNEL, "SHA-256")
    assert converse(client, server_of(may)) == Identity("ann", "bob", "SCRAM-SHA-256")
    client = ScramClient(login, PLAIN_CHANNEL, "SHA-256")
    assert isinstance(converse(client, server_of()), Denied)
    with pytest.raises(RemoteProtocolError):
        client.finish()


@pytest.mark.req("RFC5802-5.1-11")
@pytest.mark.parametrize("hash_name", HASHES)
def test_users_who_do_not_exist(hash_name: str) -> None:
    """The same salt each time, another for each name, hash and server; no at the proof only."""

    def first(users: Users, name: str, hash_name: str = hash_name) -> str:
        server = ScramServer(users, PLAIN_CHANNEL, hash_name)
        return answer(server, f"n,,n={name},r=n").partition(",")[2]

    users, other = Users({"ann": "secret"}), Users({"ann": "secret"})
    said = first(users, "nobody")
    assert re.fullmatch(r"s=[A-Za-z0-9+/]{22}==,i=4096", said)
    assert len(said) == len(first(users, "ann"))
    assert said == first(users, "nobody") == first(users, "nobody")
    assert said != first(users, "nobod")
    assert said != first(users, "nobody", "SHA-1" if hash_name == "SHA-256" else "SHA-256")
    assert said != first(other, "nobody")
    other.decoy_key = users.decoy_key
    assert said == first(other, "nobody")
    client = ScramClient(Login("nobody", "secret"), PLAIN_CHANNEL, hash_name)
    end = converse(client, ScramServer(users, PLAIN_CHANNEL, hash_name))
    assert end == Denied("wrong user name or password: 'nobody'")
    client = ScramClient(Login("ann", "wrong"), PLAIN_CHANNEL, hash_name)
    end = converse(client, ScramServer(users, PLAIN_CHANNEL, hash_name))
    assert end == Denied("wrong user name or password: 'ann'")


def test_not_even_a_right_proof_makes_a_user() -> None:
    users = Users({})
    users.decoy_key = Secret(b"known")
    server, bare = server_of(users), "n=nobody,r=n"
    first = answer(server, f"n,,{bare}")
    nonce = first[2:].split(",")[0]
    signed = f"{bare},{first},c=biws,r={nonce}".encode()
    keys = ScramKeys.of_salted(b"known", SALT, 4096, "SHA-256")
    proof = keys.masked(client_key(b"known", "SHA-256"), signed)
    assert keys.proved(proof, signed)
    end = finale(server, f"c=biws,r={nonce},p={encode_base64(proof).decode()}")
    assert isinstance(end, Denied)


def test_the_shape_of_those_who_do_not_exist() -> None:
    class Strong(Authenticator):
        def decoy_shape(self, hash_name: str) -> tuple[int, int]:
            return 20_000, 32

    first = answer(server_of(Strong()), "n,,n=nobody,r=n")
    assert re.fullmatch(r"r=[^,]+,s=[A-Za-z0-9+/]{43}=,i=20000", first)


def test_a_verifier_may_be_async_and_may_fail() -> None:
    keys = ScramKeys.derive("secret", salt=SALT, hash_name="SHA-1")

    class Slow(Authenticator):
        async def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
            if username == "ann":
                return keys
            raise OSError("no database")

    client = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-1")
    server = ScramServer(Slow(), PLAIN_CHANNEL, "SHA-1")
    assert isinstance(converse(client, server), Identity)
    with pytest.raises(OSError, match="no database"):
        run(server_of(Slow()).step(Secret("n,,n=bob,r=n")))
    with pytest.raises(LocalProtocolError, match="SHA-256"):  # whose keys these are not
        run(server_of(Slow()).step(Secret("n,,n=ann,r=n")))


@pytest.mark.req("RFC5802-7-01")
def test_proofs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert isinstance(converse(client, server), Identity)
    stored = ScramKeys.derive("secret", salt=SALT, iterations=4096).stored_key
    assert compared[0] == (stored, stored)  # the client's proof, on the server
    assert len(compared[1][0]) == 32  # the server's, on the client
    assert len(compared) == 2


# -- mechanisms, representations -------------------------------------------------------------


@pytest.mark.req("RFC5802-4-01")
def test_the_mechanisms_strongest_first() -> None:
    names = [row.name for row in MECHANISMS if row.name.startswith("SCRAM-")]
    assert names == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]
    assert [row.name for row in MECHANISMS][:4] == names
    assert all(len(row.name) <= 20 for row in MECHANISMS)
    for name in names:
        client = BY_NAME[name].client(LOGIN, BOUND if "PLUS" in name else PLAIN_CHANNEL)
        server = BY_NAME[name].server(ANN, BOUND if "PLUS" in name else PLAIN_CHANNEL)
        assert isinstance(client, ScramClient) and isinstance(server, ScramServer)
        assert converse(client, server) == Identity("ann", mechanism=name)


def test_no_secret_is_shown() -> None:
    client, server = ScramClient(LOGIN, BOUND, "SHA-256", True), server_of(channel=BOUND, plus=True)
    shown = [client, server]
    _, said = final(client, server)
    shown += [client, server]
    client.step(answer(server, said).encode())
    for text in map(repr, [*shown, client, server]):
        for secret in ("secret", "exported", "unique", said.rpartition("p=")[2]):
            assert secret not in text
