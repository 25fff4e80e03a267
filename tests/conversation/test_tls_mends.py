"""TLS in sessions: faults that a hostile review found, and their mends."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from smtpproto import (
    Authenticator,
    BearerToken,
    ClientCertificate,
    ClientConfig,
    ConnectionLost,
    External,
    GrammarError,
    Handler,
    LocalProtocolError,
    NotOffered,
    Refusal,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
    TimedOut,
    TLSMode,
    TokenClaim,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client import submit
from smtpproto.client.connection import start_client
from smtpproto.client.target import make_target
from smtpproto.sasl import Credential
from smtpproto.server.setup import check_server
from smtpproto.testing.script import ScriptedStream
from tests.conversation.test_tls_server import (
    CA,
    GOOD,
    LEAF,
    MODES,
    TRUST,
    converse,
    each_mode,
    nothing,
    serving,
)
from tests.support.certificates import NAME
from tests.support.envelopes import TO_BOB
from tests.support.tls_server import TLSServer

# -- the last words of a server ------------------------------------------------------------------


class Slow(Runtime):
    """Half a second passes whenever something is read."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds


def test_last_words_are_not_waited_for_for_ever() -> None:
    """Each octet used to have a second of its own, and no line of them need end."""

    class Dripping(ScriptedStream):
        reads = 0
        broken = False

        async def read(self, timeout: float | None) -> bytes:
            if not self.broken:
                return await super().read(timeout)
            runtime.seconds += 0.5
            self.reads += 1
            assert self.reads < 9
            return b"x"

    runtime, stream = Slow(), Dripping("S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n")

    async def main() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        client = await start_client(runtime, stream, "", config, TLSMode.NONE)
        stream.write = lost  # type: ignore[method-assign]
        stream.broken = True
        with pytest.raises(ConnectionLost):
            await client.noop()

    run(main())
    assert stream.reads == 2


async def lost(data: bytes, timeout: float | None) -> None:
    raise ConnectionLost("broken pipe")


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize("how", ["DATA", "BDAT"])
@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (b"552 5.3.4 Too big\r\n", 552, SendRefused),
        (b"421 4.3.1 Disk full\r\n", 421, SendRefused),
        (b"250 2.0.0 OK\r\n", 250, ConnectionLost),
        (b"", None, ConnectionLost),
    ],
)
def test_what_is_said_in_the_middle_of_content_is_why_the_link_broke(
    how: str,
    words: bytes,
    code: int | None,
    expected: type[SMTPError],
    at_once: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is too big is not to be sent again, and what nobody answered for is not refused."""
    monkeypatch.setattr(submit, "CHUNK", 7)
    question, answer, offer = {
        "DATA": (b"DATA\r\n", b"354 go\r\n", "8BITMIME"),
        "BDAT": (b"BDAT 7\r\nhello\r\n", b"250 ok\r\n", "CHUNKING"),
    }[how]
    answers = {
        b"": b"220 mx\r\n", b"EHLO [127.0.0.1]\r\n": f"250-mx\r\n250 {offer}\r\n".encode(),
        b"MAIL FROM:<ann@example.org>\r\n": b"250 ok\r\n",
        b"RCPT TO:<bob@example.org>\r\n": b"250 ok\r\n",
    }  # fmt: skip
    code = None if (how, code) == ("BDAT", 250) else code  # which answers for a chunk
    answers[question] = answer + (words if at_once else b"")

    class Full(ScriptedStream):
        said = b""

        async def read(self, timeout: float | None) -> bytes:
            return answers.pop(self.said, b"")

        async def write(self, data: bytes, timeout: float | None) -> None:
            self.said = data
            if data not in answers:
                answers[data] = b"" if at_once else words
                raise ConnectionLost("broken pipe")

    async def main() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        client = await start_client(Runtime(), Full(""), "", config, TLSMode.NONE)
        with pytest.raises(expected) as caught:
            await client.send(b"hello\r\n" * 3, TO_BOB)
        assert (caught.value.reply and caught.value.reply.code) == code
        assert not client.usable

    run(main())


def test_a_silent_greeting_under_tls_is_not_for_want_of_tls() -> None:
    class Mute(TLSServer):
        async def read(self, timeout: float | None) -> bytes:
            octets = await super().read(timeout)
            if not octets:
                raise TimedOut("the peer was silent for too long")
            return octets

        def _talk(self, tls: Any) -> None:
            self._handshake_done = self._handshake_done or tls.handshake()
            self._output += tls.data_to_send()

    async def main() -> None:
        server, config = Mute(GOOD, implicit=True), ClientConfig(verify=TRUST)
        await start_client(Runtime(), server, NAME, config, TLSMode.IMPLICIT)

    with pytest.raises(TimedOut) as caught:
        run(main())
    assert caught.value.phase == "greeting"
    assert "TLS" not in caught.value.check


# -- who is trusted ------------------------------------------------------------------------------


class Tokens(Authenticator):
    """Takes all, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def check_token(self, claim: TokenClaim) -> str:
        self.asked += 1
        return claim.username

    def certificate_user(self, certificate: bytes) -> str:
        self.asked += 1
        return "ann"


@each_mode
@pytest.mark.parametrize("login", [BearerToken("ann", "token"), External()], ids=["token", "cert"])
def test_no_token_for_whom_nothing_verified(
    mode: TLSMode, login: Credential, tmp_path: Path
) -> None:
    """Not even with *login_in_clear*: whoever gets a token may use it (RFC 6750 5.2)."""
    authenticator, own = Tokens(), str(tmp_path / "ann.pem")
    CA.issue_cert("ann@example.org").private_key_and_cert_chain_pem.write_to_path(own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    LEAF.configure_cert(context)
    CA.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = serving(mode, context=context, authenticator=authenticator)
    ours: dict[str, Any] = {
        "tls": mode, "login": login, "certificate": ClientCertificate(own), "login_in_clear": True,
    }  # fmt: skip
    with pytest.raises(NotOffered, match="no mechanism in common"):
        converse(server, ClientConfig(verify="none", **ours), nothing)
    assert authenticator.asked == 0
    converse(server, ClientConfig(verify=TRUST, **ours), nothing)
    assert authenticator.asked == 1


STRASSE = "stra\N{LATIN SMALL LETTER SHARP S}e.example"


@pytest.mark.parametrize("as_url", [True, False])
def test_a_name_to_verify_is_made_ascii_as_a_host_is(as_url: bool) -> None:
    """IDNA of 2003 makes another domain of this one, which may be another's."""
    with pytest.raises(GrammarError, match="no A-labels"):
        if as_url:
            make_target(f"smtp://mx.example?server_name={STRASSE}")
        else:
            ClientConfig(server_name=STRASSE)
    name = "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"
    assert ClientConfig(server_name=name).server_name == "xn--bcher-kva.example"


def test_files_are_read_once_for_every_mode(tmp_path: Path) -> None:
    """Later there may be no right to read them, or others may be there."""
    own = tmp_path / "own.pem"
    CA.issue_cert("ann@example.org").private_key_and_cert_chain_pem.write_to_path(str(own))
    config = ClientConfig(certificate=ClientCertificate(own))
    own.unlink()
    for mode in (*MODES, TLSMode.OPPORTUNISTIC):
        assert isinstance(config.tls_context(mode), ssl.SSLContext)


def test_a_context_that_cannot_be_made_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ClientConfig(tls="required")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no" / "keys"))
    with pytest.raises(LocalProtocolError, match="No such file") as caught:
        converse(ServerConfig(context=GOOD), config, nothing)
    assert caught.value.phase == "TLS"


# -- a server's own mistakes ---------------------------------------------------------------------


@each_mode
@pytest.mark.parametrize("verdict", [True, "no", 0])
def test_what_is_no_verdict_on_tls(
    mode: TLSMode, verdict: object, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Handler):
        def tls(self, session: Session) -> None:
            return verdict  # type: ignore[return-value]

    with pytest.raises(Refusal) as caught:
        converse(
            serving(mode, context=GOOD), ClientConfig(tls=mode, verify=TRUST), nothing,
            handler=Odd(),
        )  # fmt: skip
    assert caught.value.reply.code in (451, 554)
    assert "must return a Reply or None" in caplog.text


@pytest.mark.parametrize(
    "context", ["cert.pem", b"", 7, ("cert.pem", "key.pem")], ids=lambda it: type(it).__name__
)
def test_what_is_no_context(context: Any) -> None:
    for config in (ServerConfig, ClientConfig):
        with pytest.raises(TypeError, match="context cannot be of the type"):
            config(context=context)


def test_a_context_for_clients_is_not_served() -> None:
    """Else STARTTLS would be offered, and answered 454 for ever."""
    with pytest.raises(ValueError, match="PROTOCOL_TLS_CLIENT"):
        check_server(Handler(), ServerConfig(context=ssl.create_default_context()), 25)
    check_server(Handler(), ServerConfig(context=GOOD), 25)
