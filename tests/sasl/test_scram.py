"""SCRAM (RFC 5802, RFC 7677): the examples of the RFCs, and general properties."""

from __future__ import annotations

import hmac
import itertools
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smtpproto import (
    Authenticator,
    GrammarError,
    Identity,
    Login,
    RemoteProtocolError,
    ScramKeys,
    Secret,
    SMTPError,
)
from smtpproto.adapters.blocking import run
from smtpproto.grammar.xtext import decode_base64
from smtpproto.sasl import BY_NAME, MECHANISMS, Denied, scram
from smtpproto.sasl.prepare import prepared
from smtpproto.sasl.scram import ScramClient, ScramServer

from .scram_exchanges import (
    BOUND,
    HASHES,
    LOGIN,
    SALT,
    UNBOUND,
    USERS,
    ScramUsers,
    challenge_after,
    first_and_final,
    log_in,
    make_server,
)

# -- the examples of the RFCs --------------------------------------------------------------------

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


def check_example(example: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that both sides send the messages of the RFC, octet for octet."""
    hash_name, salt, client_nonce, server_nonce, first, server_first, client_final, server_final = (
        example
    )
    nonces = iter([client_nonce, server_nonce])
    monkeypatch.setattr(scram, "fresh_nonce", lambda channel: next(nonces))
    stored = ScramKeys.derive(
        "pencil", salt=decode_base64(salt.encode()), iterations=4096, hash_name=hash_name
    )

    class Stored(Authenticator):
        def scram_keys(self, username: str, hash_name: str) -> ScramKeys:
            assert username == "user"
            return stored

    client = ScramClient(Login("user", "pencil"), UNBOUND, hash_name)
    server = ScramServer(Stored(), UNBOUND, hash_name)
    assert client.initial() == Secret(first)
    assert run(server.step(Secret(first))) == server_first.encode()
    assert client.step(server_first.encode()) == Secret(client_final)
    assert run(server.step(Secret(client_final))) == server_final.encode()
    assert client.step(server_final.encode()) == Secret("")
    assert run(server.step(Secret(""))) == Identity("user", mechanism=f"SCRAM-{hash_name}")
    client.finish()


def test_both_sides_reproduce_the_example_of_rfc_5802(monkeypatch: pytest.MonkeyPatch) -> None:
    check_example(SHA1, monkeypatch)


@pytest.mark.req("RFC7677-3-02/client", "RFC7677-3-02/server")
def test_both_sides_reproduce_the_example_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    check_example(SHA256, monkeypatch)


# -- properties of any exchange ------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def _can_be_prepared(text: str) -> bool:
    try:
        return bool(prepared(text))
    except GrammarError:
        return False


PREPARABLE = st.one_of(
    st.text(string.ascii_letters + ",= ", min_size=1), TEXT.filter(_can_be_prepared)
)


@given(PREPARABLE, PREPARABLE, st.sampled_from(HASHES), st.booleans(), st.booleans())
def test_any_user_name_and_password_log_in_by_scram(
    name: str, password: str, hash_name: str, plus: bool, as_office: bool
) -> None:
    users = ScramUsers({prepared(name): password}, {(prepared(name), "office")})
    login = Login(name, password, "office" if as_office else "")
    channel = BOUND if plus else UNBOUND
    client, server = (
        ScramClient(login, channel, hash_name, plus),
        ScramServer(users, channel, hash_name, plus),
    )
    mechanism = f"SCRAM-{hash_name}{'-PLUS' if plus else ''}"
    identity = Identity(prepared(name), "office" if as_office else "", mechanism)
    assert log_in(client, server) == identity
    assert not client.details


@given(PREPARABLE, PREPARABLE, st.sampled_from(HASHES))
def test_a_wrong_password_is_denied_and_the_server_proves_nothing(
    right: str, wrong: str, hash_name: str
) -> None:
    assume(prepared(right) != prepared(wrong))
    client = ScramClient(Login("ann", wrong), UNBOUND, hash_name)
    server = ScramServer(ScramUsers({"ann": right}), UNBOUND, hash_name)
    assert isinstance(log_in(client, server), Denied)
    with pytest.raises(RemoteProtocolError):
        client.finish()


def _mutated(message: bytes, position: int, change: int) -> bytes:
    """Return *message* with one octet added, removed or replaced."""
    position %= len(message) + 1
    head, tail = message[:position], message[position:]
    if change < 256:
        return head + bytes([change]) + tail[1:]
    return head + bytes([change - 256]) + tail if change < 512 else head + tail[1:]


@given(st.integers(0, 4), st.integers(0, 500), st.integers(0, 512), st.booleans())
def test_an_exchange_with_a_changed_message_fails_with_our_error(
    which: int, position: int, change: int, plus: bool
) -> None:
    channel, count = (BOUND if plus else UNBOUND), itertools.count()
    client = ScramClient(LOGIN, channel, "SHA-256", plus)
    server = ScramServer(USERS, channel, "SHA-256", plus)

    def tamper(message: bytes) -> bytes:
        if next(count) != which:
            return message
        changed = _mutated(message, position, change)
        assume(changed != message)
        return changed

    with pytest.raises(SMTPError):
        response = client.initial()
        while True:
            challenge = run(server.step(Secret(tamper(response.reveal()))))
            if isinstance(challenge, Denied):
                raise RemoteProtocolError("a login that failed")
            if isinstance(challenge, Identity):
                client.finish()  # must raise
                pytest.fail("a login that succeeded")
            response = client.step(tamper(challenge))


@given(st.lists(st.one_of(st.binary(), TEXT.map(str.encode)), max_size=4), st.booleans())
def test_random_messages_raise_only_our_errors(messages: list[bytes], plus: bool) -> None:
    client = ScramClient(LOGIN, BOUND, "SHA-256", plus)
    server = ScramServer(USERS, BOUND, "SHA-256", plus)
    for message in messages:
        with pytest.raises(GrammarError):
            run(server.step(Secret(message)))
        if message and not message.startswith(b"e="):
            with pytest.raises(RemoteProtocolError):
                client.step(message)


# -- mechanisms and secrets ----------------------------------------------------------------------


@pytest.mark.req("RFC5802-4-01/client", "RFC5802-4-01/server")
def test_scram_mechanisms_are_listed_first_and_strongest_first() -> None:
    names = [row.name for row in MECHANISMS if row.name.startswith("SCRAM-")]
    assert names == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]
    assert [row.name for row in MECHANISMS][:4] == names
    assert all(len(row.name) <= 20 for row in MECHANISMS)
    for name in names:
        client = BY_NAME[name].client(LOGIN, BOUND if "PLUS" in name else UNBOUND)
        server = BY_NAME[name].server(USERS, BOUND if "PLUS" in name else UNBOUND)
        assert isinstance(client, ScramClient) and isinstance(server, ScramServer)
        assert log_in(client, server) == Identity("ann", mechanism=name)


def test_no_repr_shows_a_secret() -> None:
    client, server = (
        ScramClient(LOGIN, BOUND, "SHA-256", True),
        make_server(channel=BOUND, plus=True),
    )
    shown = [client, server]
    _, client_final = first_and_final(client, server)
    shown += [client, server]
    client.step(challenge_after(server, client_final).encode())
    for text in map(repr, [*shown, client, server]):
        for secret in ("secret", "exported", "unique", client_final.rpartition("p=")[2]):
            assert secret not in text


@pytest.mark.req("RFC5802-7-01")
def test_both_proofs_are_compared_with_compare_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    comparisons = []

    def compare(a: bytes, b: bytes) -> bool:
        comparisons.append((a, b))
        return a == b

    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert isinstance(log_in(client, server), Identity)
    stored = ScramKeys.derive("secret", salt=SALT, iterations=4096).stored_key
    assert comparisons[0] == (stored, stored)  # on the server: the client's proof
    assert len(comparisons[1][0]) == 32  # on the client: the server's proof
    assert len(comparisons) == 2
