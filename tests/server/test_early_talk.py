"""Clients that send commands without waiting for a reply (RFC 2920 3.1)."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, Reply, ServerConfig, Session, Sink
from tests.support.handlers import Inbox
from tests.support.scripted_client import serve

EHLO, HELO = b"EHLO client.example\r\n", b"HELO client.example\r\n"
GROUP = b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
BDAT = b"BDAT 3 LAST\r\nx\r\n"


class StrictInbox(Inbox):
    """Refuses the messages of clients that do not wait for replies."""

    early_talk = False

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if session.early_talk:
            return Reply(554, "5.7.1", "You do not wait for replies")
        return super().data(session, envelope)  # type: ignore[return-value]

    def close(self, session: Session) -> None:
        self.early_talk = session.early_talk


def talk(*pieces: bytes, config: ServerConfig | None = None) -> tuple[bool, bytes]:
    """Return whether the client was noticed, and what the server wrote."""
    inbox = StrictInbox()
    client = serve(inbox, *pieces, config=config)
    return inbox.early_talk, b"".join(client.written)


@pytest.mark.req("SMUGGLING-08")
@pytest.mark.parametrize(
    "pieces",
    [
        [EHLO + GROUP],
        [EHLO, GROUP + b"DATA\r\nx\r\n.\r\n"],
        [EHLO, b"NOOP\r\nNOOP\r\n"],
        [HELO, GROUP, b"DATA\r\n"],
        [EHLO, b"MAIL FROM:<>\r\nVRFY a\r\nQUIT\r\n"],
    ],
    ids=["EHLO", "DATA", "NOOP", "HELO", "VRFY"],
)
def test_a_client_that_does_not_wait_for_a_reply_is_noticed(pieces: list[bytes]) -> None:
    noticed, written = talk(*pieces)
    assert noticed
    assert b"354" not in written


@pytest.mark.parametrize(
    "pieces",
    [
        [EHLO, GROUP + b"DATA\r\n", b"x\r\n.\r\n" + GROUP + b"DATA\r\n", b".\r\n", b"QUIT\r\n"],
        [EHLO, GROUP + BDAT + GROUP + BDAT],
        [HELO, *GROUP.splitlines(keepends=True), b"DATA\r\n", b".\r\n"],
        [EHLO, b"NOOP\r\n", b"FOO\r\nRSET\r\n", b"QUIT\r\n"],
    ],
    ids=["DATA", "BDAT", "HELO", "NOOP"],
)
def test_a_client_that_waits_for_replies_is_not_noticed(pieces: list[bytes]) -> None:
    noticed, written = talk(*pieces)
    assert not noticed
    assert b"\n554" not in written


def test_the_octets_after_bdat_are_not_early_talk() -> None:
    config = ServerConfig(extensions={"PIPELINING": None})
    group = GROUP.splitlines(keepends=True)
    assert not talk(EHLO, *group, BDAT, b"QUIT\r\n", config=config)[0]
    assert talk(EHLO, GROUP, BDAT, config=config)[0]
