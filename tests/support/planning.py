"""What a client plans and sends for one message to a lenient server."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve

from smtpproto import Client, Envelope, Extensions, MailParameters, NotOffered
from smtpproto.mail.preparation import Source
from tests.support.envelopes import TO_BOB
from tests.support.lenient_server import LenientServer, converse, planned_lines


def command_lines(
    offered: Mapping[str, str], envelope: Envelope = TO_BOB, body: Source = b"hello\r\n"
) -> list[str]:
    """Return the command lines that are sent for a message, after a check that they are planned."""
    stream = LenientServer(Extensions(offered))

    async def talk(client: Client) -> None:
        planned = client.plan(body, envelope)
        await client.send(body, envelope)
        assert planned_lines(planned) == stream.commands

    converse(stream, talk)
    return stream.commands


def mail_line(
    offered: Mapping[str, str], envelope: Envelope = TO_BOB, body: Source = b"hello\r\n"
) -> str:
    """Return what follows MAIL FROM: in the first command line."""
    return command_lines(offered, envelope, body)[0].removeprefix("MAIL FROM:")


def refusal(
    offered: Mapping[str, str], envelope: Envelope = TO_BOB, body: Source = b"hello\r\n"
) -> str:
    """Return why a message is neither planned nor sent."""
    stream, reasons = LenientServer(Extensions(offered)), []

    async def talk(client: Client) -> None:
        for attempt in (client.plan, client.send):
            with pytest.raises(NotOffered) as caught:
                if (waiting := attempt(body, envelope)) is not None:
                    await waiting  # type: ignore[misc]
            reasons.append(caught.value.message)

    converse(stream, talk)
    assert stream.commands == [] and reasons[0] == reasons[1]
    return reasons[0]


def with_parameters(**values: object) -> Envelope:
    """Return TO_BOB with parameters of MAIL."""
    return evolve(TO_BOB, parameters=MailParameters(**values))  # type: ignore[arg-type]


UTF8 = {"8BITMIME": "", "SMTPUTF8": ""}
