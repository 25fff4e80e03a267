"""Rules of logging in and of TLS, at their edges: each was broken on purpose, and nobody saw it."""

from __future__ import annotations

import hmac
import logging
import threading
from base64 import b64decode
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from smtpproto import (
    Anonymous,
    Authenticator,
    BadCredentials,
    BearerToken,
    Client,
    ClientConfig,
    ConnectionLost,
    External,
    Handler,
    Limits,
    Login,
    LoginRefused,
    RemoteProtocolError,
    Reply,
    Secret,
    ServerConfig,
    ServerProtocol,
    Session,
    SMTPError,
    TimedOut,
    TLSFailed,
    TLSMode,
    TokenClaim,
    TokenRefused,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.auth import _Attempt
from smtpproto.client.connection import _server_name, start_client
from smtpproto.sasl import Channel, Credential, RefusingChallenge
from smtpproto.server.auth import Authentication
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from tests.conversation.test_tls_server import GOOD, TRUST, converse, each_mode, nothing, serving
from tests.support.logins import (
    BEARER,
    NO_DELAY,
    OFFER,
    OUR_OFFER,
    REFUSED,
    TOKEN,
    XOAUTH2,
    Contexts,
    base64,
    log_in,
    serve_tls,
)
from tests.support.scripted_client import Accounts, ScriptedClient, replies
from tests.support.scripted_client import octets as lines
from tests.support.tls_server import TLSServer

T = TypeVar("T")
ANN = Login("ann", "secret")
PLAIN = base64("\0ann\0secret")


# -- another mechanism, or none ------------------------------------------------------------------


@pytest.mark.req("RFC4954-6-04")
@pytest.mark.parametrize("code", [504, 534])
def test_codes_behind_which_another_mechanism_may_do(code: int) -> None:
    first = f"C: AUTH PLAIN {PLAIN}\nS: {code} 5.5.4 Not this one\n"
    assert log_in(f"{OFFER.format('PLAIN LOGIN')}{first}C: AUTH LOGIN\n{REFUSED}", ANN) is not None


@pytest.mark.parametrize("code", [421, 432, 454, 500, 501, 523, 524, 530, 535, 538, 550])
def test_codes_behind_which_none_will(code: int) -> None:
    """The password is wrong, or it is not the mechanism's fault: no other is to be tried."""
    first = f"C: AUTH PLAIN {PLAIN}\nS: {code} 5.7.0 No\n"
    script = OFFER.format("PLAIN LOGIN") + first
    stream = ScriptedStream(script.replace("192.0.2.2", "127.0.0.1"))
    config = ClientConfig(login=ANN, login_in_clear=True, tls=TLSMode.NONE)
    with pytest.raises(LoginRefused):
        try:
            run(start_client(Runtime(), stream, "mx", config, TLSMode.NONE))
        except AssertionError as error:  # QUIT, of which the script knows nothing
            assert "'QUIT'" in str(error)
            raise error.__context__ or error from None


@pytest.mark.parametrize(
    ("code", "unbound"), [(535, True), (501, True), (454, False), (334, False)]
)
def test_what_says_that_it_is_the_binding(code: int, unbound: bool) -> None:
    attempt = _Attempt(None, None, None, "tls-exporter")  # type: ignore[arg-type]
    assert attempt.unbound(Reply(code, None, "x")) == unbound
    attempt._challenged = True
    assert not attempt.unbound(Reply(code, None, "x"))


# -- long lines ----------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-4-10")
@pytest.mark.parametrize(("size", "fits"), [(511, True), (512, True), (513, False)])
def test_an_initial_response_for_which_the_line_has_room(size: int, fits: bool) -> None:
    """CRLF is of the 512 octets, too (RFC 5321 4.5.3.1.4)."""
    name = "X" * (size - len("AUTH  \r\n") - 496)
    exchange = SimpleNamespace(initial=lambda: Secret(bytes(372)))
    extensions = SimpleNamespace(line_limit=lambda verb: 512)
    link = SimpleNamespace(machine=SimpleNamespace(extensions=extensions))
    attempt: Any = _Attempt(link, SimpleNamespace(name=name), exchange, "")  # type: ignore[arg-type]
    said = attempt._first()
    assert (len(bytes(said)) + 2 == size) == fits
    assert (said.initial is not None) == fits


@pytest.mark.req("RFC4954-4-10")
@pytest.mark.parametrize(("length", "fits"), [(367, True), (368, False)])
def test_a_long_password_goes_in_two_steps(length: int, fits: bool) -> None:
    password = "x" * length
    said = base64(f"\0ann\0{password}")
    assert len(f"AUTH PLAIN {said}\r\n") == (509 if fits else 513)
    first = f"C: AUTH PLAIN {said}\n" if fits else f"C: AUTH PLAIN\nS: 334 \nC: {said}\n"
    error = log_in(f"{OFFER.format('PLAIN')}{first}{REFUSED}", Login("ann", password))
    assert isinstance(error, BadCredentials)


@pytest.mark.req("RFC4954-4-16")
def test_a_challenge_as_long_as_any() -> None:
    """12288 octets in base64; a token's refusal may have many."""
    told = base64(b'{"status":"invalid_token","more":"' + b"x" * 9180 + b'"}')
    assert len(told) == 12288
    offer = OFFER.format("OAUTHBEARER")
    script = f"{offer}C: AUTH OAUTHBEARER {BEARER}\nS: 334 {told}\nC: AQ==\n{REFUSED}"

    async def talk() -> Exception | None:
        stream = ScriptedStream(script.replace("192.0.2.2", "127.0.0.1"))
        client = await start_client(
            Runtime(), stream, "mx.example.org", ClientConfig(tls="none"), TLSMode.NONE
        )
        client._trusted = True
        try:
            await client.login(TOKEN)
        except BadCredentials as error:
            return error
        return None

    error = run(talk())
    assert (
        isinstance(error, BadCredentials) and not error.details
    )  # for nobody has more than 8192 octets to say


# -- what an exchange knows of its connection ----------------------------------------------------


@each_mode
def test_a_channel_of_a_client(mode: TLSMode) -> None:
    def look(offered: list[str], binds: bool) -> Callable[[Client], None]:
        def talk(client: Client) -> None:
            assert list(client.extensions.mechanisms) == offered
            channel = client._channel
            assert (channel.peer_binds, channel.host, channel.port) == (binds, NAMED, 25)

        return talk

    for offered, binds in ((["SCRAM-SHA-256-PLUS"], True), (["SCRAM-SHA-256"], False)):
        server = serving(mode, context=GOOD, authenticator=Keys(), mechanisms=offered)
        ours = ClientConfig(tls=mode, verify=TRUST, server_name=NAMED)
        converse(server, ours, look(offered, binds))


NAMED = "mx.example.org"


class Keys(Authenticator):
    def scram_keys(self, username: str, hash_name: str) -> None: ...


def test_a_token_is_for_the_server_that_was_meant() -> None:
    """By its name, not by the address that was dialled (RFC 7628 3.1)."""

    async def main() -> None:
        stream = ScriptedStream("S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n")
        config = ClientConfig(tls="none", server_name=NAMED)
        client = await start_client(Runtime(), stream, "192.0.2.1", config, TLSMode.NONE)
        assert client._channel.host == NAMED

    run(main())


@pytest.mark.req("RFC4422-6.1.2-01")
def test_what_a_server_is_not_to_offer() -> None:
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, mechanisms=["LOGIN"])
    answers = replies(Handler(), f"AUTH PLAIN {PLAIN}", config=config)
    assert answers[0].startswith("504 ")


def test_behind_a_unix_socket_is_this_machine() -> None:
    assert [_server_name(host) for host in ("/run/x", "mx")] == ["localhost", "mx"]


class Elsewhere(Runtime):
    """Counts what is done in threads of their own."""

    def __init__(self) -> None:
        self.threads = 0

    async def in_thread(self, function: Callable[[], T]) -> T:
        self.threads += 1
        results: list[T] = []
        thread = threading.Thread(target=lambda: results.append(function()))
        thread.start()
        thread.join()
        return results[0]

    async def sleep(self, seconds: float) -> None: ...


def test_what_takes_long_holds_up_nobody() -> None:
    """On a server a hash, on a client the iterations of SCRAM."""
    runtime = Elsewhere()
    client = ScriptedClient([lines("EHLO a.example", f"AUTH PLAIN {PLAIN}", "QUIT")])
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True)
    run(Conversation(client, Handler(), config, runtime).run())
    assert runtime.threads == 1 and any(line.startswith("235 ") for line in client.lines)
    runtime = Elsewhere()
    script = (
        f"{OFFER.format('LOGIN')}C: AUTH LOGIN\nS: 334 \nC: YW5u\n{REFUSED}C: QUIT\nS: 221 bye\n"
    )
    stream = ScriptedStream(script.replace("192.0.2.2", "127.0.0.1"))
    ours = ClientConfig(login=ANN, login_in_clear=True, tls="none")
    with pytest.raises(BadCredentials):
        run(start_client(runtime, stream, "mx", ours, TLSMode.NONE))
    assert runtime.threads == 1


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-9-04")
def test_failures_behind_challenges_count_too() -> None:
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, limits=NO_DELAY)
    tries = ["AUTH LOGIN", "YW5u", "eA=="] * 3
    answers = replies(Handler(), *tries, "NOOP", config=config)
    assert [line[:3] for line in answers] == ["334", "334", "535"] * 3 + ["421"]


def test_what_is_no_message_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "smtpproto")
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, limits=NO_DELAY)
    wrong = base64("ann\0hunter2")
    replies(Handler(), f"AUTH PLAIN {wrong}", config=config)
    assert "not a PLAIN message" in caplog.text
    assert "hunter2" not in caplog.text and wrong not in caplog.text


def test_a_verifiers_words_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Authenticator):
        def check_token(self, claim: TokenClaim) -> TokenRefused:
            return TokenRefused(status="no\r\nlogin of root succeeded")

    caplog.set_level(logging.INFO, "smtpproto")
    login = BearerToken("ann", "t0ken")
    with pytest.raises(BadCredentials):
        converse(
            serving(TLSMode.IMPLICIT, context=GOOD, authenticator=Odd()),
            ClientConfig(tls="implicit", verify=TRUST, login=login),
            nothing,
        )
    (line,) = [record.getMessage() for record in caplog.records if "failed:" in record.getMessage()]
    assert "\n" not in line and "\r" not in line


@pytest.mark.parametrize("side", ["client", "server"])
def test_challenges_are_not_in_the_trace(side: str) -> None:
    """Those of SCRAM tell what helps to guess the password."""
    seen: list[str] = []

    def trace(who: str, line: str) -> None:
        seen.append(f"{who}: {line}")

    if side == "server":
        config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, trace=trace)
        replies(Handler(), "AUTH LOGIN", "YW5u", "c2VjcmV0", config=config)
    else:
        script = f"{OFFER.format('LOGIN')}C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YW5u\n{REFUSED}"
        assert log_in(script, ANN, trace=trace) is not None
    assert "S: 334 ***" in seen
    assert not any("VXNlcm5hbWU6" in line for line in seen)


CRAM = b"<1.2@mx>"
ANSWER = base64("ann " + hmac.digest(b"secret", CRAM, "md5").hex())
BEGUN: dict[str, tuple[Credential, str]] = {
    "PLAIN": (ANN, f"C: AUTH PLAIN {PLAIN}\n"),
    "LOGIN": (ANN, "C: AUTH LOGIN\nS: 334 \nC: YW5u\n"),  # and not the password
    "CRAM-MD5": (ANN, f"C: AUTH CRAM-MD5\nS: 334 {base64(CRAM)}\nC: {ANSWER}\n"),
    "OAUTHBEARER": (TOKEN, f"C: AUTH OAUTHBEARER {BEARER}\n"),
    "XOAUTH2": (TOKEN, f"C: AUTH XOAUTH2 {XOAUTH2}\n"),
    "EXTERNAL": (External(), "C: AUTH EXTERNAL =\n"),
    "ANONYMOUS": (Anonymous("ann"), f"C: AUTH ANONYMOUS {base64('ann')}\n"),
}


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("S: 535 5.7.8 No\n", BadCredentials),
        ("S: 454 4.7.0 Later\n", LoginRefused),
        ("S: 421 4.3.0 Bye\n", LoginRefused),
        ("S: what\n", RemoteProtocolError),
        ("S: <silence>\n", TimedOut),
        ("S: <reset>\n", ConnectionLost),
        ("", ConnectionLost),
    ],
)
@pytest.mark.parametrize("mechanism", BEGUN)
def test_what_was_said_of_a_login_that_failed(
    mechanism: str, end: str, kind: type[SMTPError]
) -> None:
    """This, and no more: no password behind a no, no mail, and QUIT only where it can be said."""
    credential, begun = BEGUN[mechanism]
    goodbye = "C: QUIT\nS: 221 bye\n" if end.startswith(("S: 535", "S: 454")) else ""
    script = OFFER.format(mechanism).replace("192.0.2.2", "127.0.0.1") + begun + end + goodbye
    stream = ScriptedStream(script)

    async def main() -> None:
        config = ClientConfig(tls="none", login_in_clear=True)
        client = await start_client(Runtime(), stream, NAMED, config, TLSMode.NONE)
        client._trusted = True
        with pytest.raises(kind) as caught:
            await client.login(credential)
        assert type(caught.value) is kind and caught.value.phase == "login"
        assert mechanism in caught.value.command or caught.value.command == "AUTH response"
        assert "secret" not in str(caught.value) and "t0ken" not in str(caught.value)
        await client.quit()

    run(main())
    stream.finish()


# -- TLS -----------------------------------------------------------------------------------------


@each_mode
@pytest.mark.req("RFC3207-4.2-01")
def test_what_was_said_before_tls_is_forgotten_by_handlers_too(mode: TLSMode) -> None:
    seen: list[Session] = []

    class Watcher(Handler):
        def tls(self, session: Session) -> None:
            seen.append(session)

    converse(
        serving(mode, context=GOOD),
        ClientConfig(tls=mode, verify=TRUST),
        nothing,
        handler=Watcher(),
    )
    (session,) = seen
    assert (session.hello, session.extended, session.user) == (None, False, None)
    assert session.tls is not None


@pytest.mark.req("RFC8314-3.3-03")
def test_under_tls_from_the_first_octet_there_is_no_more_of_it() -> None:
    machine = ServerProtocol(hostname="mx", starttls=True, secure=True)
    machine.next_event()
    machine.answer()
    machine.receive(b"EHLO a.example\r\nSTARTTLS\r\n")
    machine.next_event()
    machine.answer()
    machine.next_event()
    said = machine.data_to_send().split(b"\r\n")
    assert not any(b"STARTTLS" in line for line in said)
    assert said[-2].startswith(b"503 ")


@pytest.mark.parametrize("end", ["at once", "behind the handshake"])
def test_opportunistic_tls_that_is_cut_may_give_way(end: str) -> None:
    """Also where the handshake was done, and the first words under it were not answered."""

    class Cut(TLSServer):
        def replies_to(self, octets: bytes) -> bytes:
            return b"" if self._tls is not None else super().replies_to(octets)

    server = TLSServer(GOOD, handshake=b"close") if end == "at once" else Cut(GOOD)
    ours = ClientConfig(tls="opportunistic", verify=TRUST)
    with pytest.raises((TLSFailed, ConnectionLost)) as caught:
        run(start_client(Runtime(), server, NAMED, ours, TLSMode.OPPORTUNISTIC))
    assert caught.value.may_go_in_clear and caught.value.check


def test_a_handshake_that_ends_says_what_to_look_at() -> None:
    server = TLSServer(GOOD, handshake=b"close", implicit=True)
    ours = ClientConfig(verify=TRUST)
    with pytest.raises(TLSFailed) as caught:
        run(start_client(Runtime(), server, NAMED, ours, TLSMode.IMPLICIT))
    assert "whether the peer speaks TLS" in caught.value.check


def test_limits_of_a_client_are_those_of_the_field() -> None:
    assert Limits().reply_line >= 12288 + len("334 ")


# -- tokens that are guessed ---------------------------------------------------------------------


class Nobody(Authenticator):
    def check_token(self, claim: TokenClaim) -> TokenRefused:
        return TokenRefused()


@pytest.mark.req("RFC4954-9-04", "RFC7628-3.2.3-01")
@pytest.mark.parametrize(
    ("end", "no"),
    [
        ("*", "501 5.7.0 Authentication cancelled"),
        ("AQ==", "535 5.7.8 Authentication credentials invalid"),
        ("!!!", "501 5.5.2 Cannot decode base64"),
    ],
)
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_refused_token_counts_however_it_ends(
    mechanism: str, end: str, no: str, contexts: Contexts
) -> None:
    """Though the no is told in a challenge, and the client may not wait for the rest."""
    said = {"OAUTHBEARER": BEARER, "XOAUTH2": XOAUTH2}[mechanism]
    why = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}[mechanism]
    more = {"OAUTHBEARER": "", "XOAUTH2": ',"schemes":"bearer"'}[mechanism]
    told = base64(f'{{"status":"{why}"{more}}}')
    one = f"C: AUTH {mechanism} {said}\nS: 334 {told}\nC: {end}\nS: {no}\n"
    gone = "S: 421 4.7.0 mx.example.org Too many failed logins; closing transmission channel\n"
    script = OUR_OFFER.format("OAUTHBEARER XOAUTH2") + one * 3 + gone
    assert serve_tls(contexts, script, Nobody()).identities == []


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_refused_token_is_told_late(mechanism: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "smtpproto")
    slept: list[float] = []

    class Clock(Runtime):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    async def main() -> None:
        login = Authentication(ServerConfig(authenticator=Nobody()), Clock())
        message = {"OAUTHBEARER": BEARER, "XOAUTH2": XOAUTH2}[mechanism]
        channel = Channel(random=bytes, secure=True)
        first = Secret(b64decode(message))
        told = await login.begin(mechanism, first, channel, ("192.0.2.1", 9))
        assert isinstance(told, RefusingChallenge) and login.refused
        assert slept == [1.0]
        assert isinstance(await login.step(Secret(b"\1")), Reply)
        assert slept == [1.0]
        await login.begin(mechanism, None, channel, ("192.0.2.1", 9))
        assert not login.refused

    run(main())
    assert caplog.text.count("by " + mechanism + " failed: token refused: invalid_token") == 1


def test_a_no_is_of_its_own_login_only() -> None:
    """Also for who says 334 by other means."""
    machine = ServerProtocol(hostname="mx", secure=True, mechanisms=("OAUTHBEARER",))
    machine.next_event()
    machine.answer()
    machine.receive(b"EHLO a.example\r\n")
    machine.next_event()
    machine.answer()
    for number in range(5):
        machine.receive(b"AUTH OAUTHBEARER\r\n")
        machine.next_event()
        if number:
            machine.answer(Reply(334, None, ""))
        else:
            machine.challenge(b"", refused=True)
        machine.receive(b"*\r\n")
        machine.next_event()
    assert b"421" not in machine.data_to_send()


def test_another_login_begins_anew() -> None:
    """A cancel is no failure, but behind a no."""
    machine = ServerProtocol(hostname="mx", secure=True, mechanisms=("OAUTHBEARER",))
    machine.next_event()
    machine.answer()
    machine.receive(b"EHLO a.example\r\n")
    machine.next_event()
    machine.answer()
    for refused in (True, False, False, False, True):
        machine.receive(b"AUTH OAUTHBEARER\r\n")
        machine.next_event()
        machine.challenge(b"", refused=refused)
        machine.receive(b"*\r\n")
        machine.next_event()
    assert b"421" not in machine.data_to_send()
    machine.receive(b"AUTH OAUTHBEARER\r\n")
    machine.next_event()
    machine.challenge(b"", refused=True)
    machine.receive(b"*\r\n")
    machine.next_event()
    assert machine.data_to_send().split(b"\r\n")[-2].startswith(b"421 ")
