"""The target of a server's conversation: any octets from a client, over a stream in memory."""

from __future__ import annotations

from itertools import repeat

from smtpproto import Envelope, Handler, Limits, Reply, ServerConfig, Session
from tests.fuzz.failures import failing_on_logged_errors
from tests.fuzz.pieces import splits
from tests.fuzz.server_machine import replies_in
from tests.support.accounts import AllMechanisms
from tests.support.certificates import LEAF, server_context
from tests.support.scripted_client import PEER, serve

LIMITS = Limits(failed_login_delay=0, message_size=65536, junk_commands=50)
CONFIGS = [
    ServerConfig(limits=LIMITS),
    ServerConfig(limits=LIMITS, lmtp=True),
    ServerConfig(limits=LIMITS, authenticator=AllMechanisms(), auth_in_clear=True),
    ServerConfig(limits=LIMITS, proxied_by=(PEER,)),
    ServerConfig(limits=LIMITS, xclient_from=(PEER,), xforward_from=(PEER,)),
    ServerConfig(limits=LIMITS, context=server_context(LEAF)),
    ServerConfig(limits=LIMITS, context=server_context(LEAF), implicit_tls=True),
]
IN_CLEAR = 5  # configurations without TLS, whose replies are in clear


class _Inbox(Handler):
    """Refuses the messages that begin with "no", and in LMTP only their first recipient."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | list[Reply]:
        replies = repeat(Reply(550, "5.6.0", "No") if body.startswith(b"no") else Reply(250))
        if not session.lmtp:
            return next(replies)
        return [next(replies), *repeat(Reply(250), len(envelope.recipients) - 1)]


def fuzz(data: bytes) -> None:
    """The first octet chooses the configuration, the next four are cuts."""
    if not data:
        return
    number = data[0] % len(CONFIGS)
    _, (pieces, _) = splits(data[1:])
    with failing_on_logged_errors():
        client = serve(_Inbox(), *pieces, config=CONFIGS[number])
    if number < IN_CLEAR:
        for reply in replies_in(b"".join(client.written)):
            Reply.parse(reply)
