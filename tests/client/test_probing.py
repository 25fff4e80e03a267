"""Asking a server about recipients without sending mail."""

from __future__ import annotations

from smtpproto import ClientConfig, ForwardPath, Handler, Mailbox, Reply, ServerConfig, Session
from smtpproto.client import open_client
from smtpproto.client.probing import probe
from smtpproto.testing import Simulation


class _Picky(Handler):
    """Refuses Eve, and senders if it is told to; counts the messages."""

    def __init__(self, refusal: Reply | None = None) -> None:
        self.refusal = refusal
        self.verbs: list[str] = []

    def mail(self, session: Session, sender: object, parameters: object) -> Reply | None:
        self.verbs.append("MAIL")
        return self.refusal

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: object) -> Reply | None:
        self.verbs.append("RCPT")
        return Reply(550, "5.1.1", "No") if recipient.local_part == "eve" else None

    def rset(self, session: Session) -> None:
        self.verbs.append("RSET")

    def message(self, session: Session, envelope: object, body: bytes) -> None:
        self.verbs.append("DATA")


def _probe(handler: _Picky) -> dict[str, int]:
    simulation, codes = Simulation(seed=1), dict[str, int]()
    simulation.listen(25, handler, ServerConfig(hostname="mx.test"))
    paths = [ForwardPath(Mailbox.parse(f"{it}@x.test")) for it in ("bob", "eve")]

    async def client() -> None:
        config = ClientConfig(hello="client.test")
        async with await open_client(simulation, "mx.test", 25, config) as client:
            replies = await probe(client, paths)
            assert client.usable
        codes.update({path.local_part: reply.code for path, reply in replies.items()})

    simulation.run(client())
    return codes


def test_each_recipient_gets_its_reply_and_no_mail_is_sent() -> None:
    handler = _Picky()
    assert _probe(handler) == {"bob": 250, "eve": 550}
    assert "DATA" not in handler.verbs and handler.verbs.count("RCPT") == 2


def test_a_refused_sender_is_the_answer_for_all() -> None:
    handler = _Picky(Reply(550, "5.7.1", "Not you"))
    assert _probe(handler) == {"bob": 550, "eve": 550}
    assert "RCPT" not in handler.verbs
