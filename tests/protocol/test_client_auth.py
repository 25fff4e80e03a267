"""AUTH on a client."""

from __future__ import annotations

from functools import partial

import pytest

from smtpproto.errors import NotOffered, RemoteProtocolError
from smtpproto.events import Answer
from smtpproto.grammar.command import Mail, Noop, Rset
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.secret import Secret
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    MAIL,
    OFFER,
    assert_refused,
    ehlo_reply,
    exchange,
    ready_client,
    receive,
    receive_codes,
)


def assert_waits_for_reply(client: ClientProtocol) -> None:
    client.data_to_send()
    assert_refused(client, lambda: client.respond(Secret(b"x")))
    assert_refused(client, lambda: client.send(Noop()))


def test_a_mechanism_that_was_not_offered_is_not_sent() -> None:
    client = ready_client("AUTH PLAIN")
    with pytest.raises(NotOffered, match="AUTH LOGIN"):
        client.send(Auth("LOGIN"))


@pytest.mark.req("RFC4422-3.8-01/client")
@pytest.mark.req(
    "RFC4954-4-04",
    "RFC4954-4-09",
    "RFC4954-4-11",
    "RFC4954-4-24/client",
    "RFC4954-4-27",
    "RFC4422-3.5-01/client",
)
def test_a_client_answers_each_challenge_until_the_final_reply() -> None:
    client = ready_client(*OFFER)
    client.send(Auth("LOGIN"))
    assert receive_codes(client, b"334\r\n") == [334]
    assert client.phase is Phase.AUTH
    client.respond(Secret(b"ann"))
    assert_waits_for_reply(client)
    assert receive_codes(client, b"334 \r\n") == [334]
    client.respond(Secret(b""))
    assert receive_codes(client, b"535 5.7.8 no\r\n") == [535]
    assert (client.phase, client.authenticated) == (Phase.READY, False)
    assert client.data_to_send() == b"\r\n"
    client.send(Auth("LOGIN"))
    receive(client, b"334 \r\n")
    client.respond(None)
    assert receive_codes(client, b"501 cancelled\r\n") == [501]
    assert (client.phase, client.authenticated) == (Phase.READY, False)
    assert client.data_to_send() == b"AUTH LOGIN\r\n*\r\n"
    client.send(Auth("PLAIN", Secret(b"")))
    assert client.data_to_send() == b"AUTH PLAIN =\r\n"
    assert receive_codes(client, b"235 2.7.0 yes\r\n") == [235]
    assert (client.phase, client.authenticated) == (Phase.READY, True)
    for again in (Auth("PLAIN"), Auth("PLAIN", Secret(b"x"))):
        assert_refused(client, partial(client.send, again), match="already")
    exchange(client, Mail(MAIL.path, MailParameters(size=1)), Rset())  # without another EHLO
    exchange(client, EHLO, reply=ehlo_reply("AUTH PLAIN"))
    for again in (Auth("PLAIN"), Auth("PLAIN", Secret(b"x"))):
        assert_refused(client, partial(client.send, again), match="already")


def test_the_ledger_and_errors_never_show_a_secret() -> None:
    client = ready_client(*OFFER)
    sent = client.send(Auth("PLAIN", Secret(b"hunter2hunter2")))
    encoded = client.data_to_send().split()[-1].decode()
    assert str(sent) == "AUTH PLAIN ***"
    receive(client, b"334 \r\n")
    other = client.respond(Secret(b"hunter2hunter2"))
    for shown in (repr(sent), str(sent), repr(other), str(other), repr(client.unanswered)):
        assert "hunter2" not in shown
        assert encoded not in shown
    client.data_to_send()
    client.receive(b"354 what\r\nagain\r\n")
    event = client.next_event()
    assert isinstance(event, Answer)
    with pytest.raises(RemoteProtocolError) as caught:
        client.next_event()
    assert encoded not in str(caught.value)
