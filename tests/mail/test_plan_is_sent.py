"""A client sends exactly what it has planned, for generated offers, envelopes and contents."""

from __future__ import annotations

from unittest import mock

import pytest
from attrs import evolve
from hypothesis import assume, example, given
from hypothesis import strategies as st

from smtpproto import (
    Client,
    Envelope,
    Extensions,
    GrammarError,
    MailParameters,
    NotOffered,
    Plan,
    RcptParameters,
    SMTPError,
    plan,
)
from smtpproto.client import submit
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.mail import planning
from smtpproto.mail.header import HeaderScanner
from smtpproto.testing import strategies
from tests.support.envelopes import TO_BOB
from tests.support.lenient_server import (
    ALL_EXTENSIONS,
    SMALL_CHUNK,
    SOURCE_FORMS,
    LenientServer,
    converse,
    planned_lines,
)


def rich_offers() -> st.SearchStrategy[Extensions]:
    """Offers of all extensions but up to two, perhaps with limits."""
    limits = st.none() | strategies.session_limits().map(
        lambda limits: evolve(limits, rcpt_max=limits.rcpt_max and 1 + limits.rcpt_max % 3)
    )
    return st.builds(
        lambda missing, limits: Extensions(
            {key: text for key, text in ALL_EXTENSIONS.items() if key not in missing}
            | ({"LIMITS": str(limits)} if limits is not None and str(limits) else {})
        ),
        st.sets(st.sampled_from(sorted(ALL_EXTENSIONS)), max_size=2),
        limits,
    )


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    utf8 = draw(st.booleans())
    path = strategies.forward_paths(smtputf8=utf8)
    recipients = draw(st.lists(path, min_size=1, max_size=4))
    twice = draw(st.lists(st.sampled_from(recipients), max_size=2))
    parameters = st.just(RcptParameters()) | strategies.rcpt_parameters(smtputf8=utf8)
    return Envelope(
        draw(strategies.reverse_paths(smtputf8=utf8)),
        [*recipients, *twice],
        draw(st.just(MailParameters()) | strategies.mail_parameters(smtputf8=utf8)),
        draw(
            parameters | st.fixed_dictionaries({}, optional=dict.fromkeys(recipients, parameters))
        ),
    )


def error_on_the_way(planned: Plan, whole: bytes, offered: Extensions) -> type[SMTPError] | None:
    """Return the error that content in pieces raises only while it is sent, if any."""
    if planned.content.size is not None:
        return None
    if not planned.content.utf8_header and not _header_is_ascii(whole):
        return GrammarError
    too_large = offered.size is not None and len(whole) > offered.size
    return NotOffered if too_large and planned.chunked else None


def _header_is_ascii(whole: bytes) -> bool:
    header = HeaderScanner()
    header.feed(whole)
    header.finish()
    return header.is_ascii


@given(
    offered=rich_offers() | strategies.offers(),
    envelope=envelopes(),
    pieces=st.lists(strategies.messages(), max_size=3),
    form=st.sampled_from(sorted(SOURCE_FORMS)),
    secure=st.booleans(),
    lmtp=st.booleans(),
)
@example(
    offered=Extensions({"CHUNKING": "", "SIZE": "1"}),
    envelope=TO_BOB,
    pieces=[b"text\r\n"],
    form="iterator",
    secure=False,
    lmtp=False,
)
@example(
    offered=Extensions({"CHUNKING": "", "8BITMIME": ""}),
    envelope=TO_BOB,
    pieces=[b"Subject: \xc3\xbc\r\n\r\n"],
    form="async",
    secure=False,
    lmtp=False,
)
def test_a_client_sends_exactly_the_planned_commands_and_content(
    offered: Extensions,
    envelope: Envelope,
    pieces: list[bytes],
    form: str,
    secure: bool,
    lmtp: bool,
) -> None:
    """If the server accepts everything, the commands on the wire are those of the plan, and each
    transaction has the whole content. If the plan raises NotOffered, nothing is sent."""
    stream = LenientServer(offered)

    async def talk(client: Client) -> None:
        try:
            planned = client.plan(SOURCE_FORMS[form](pieces), envelope)
        except NotOffered:
            with pytest.raises(NotOffered):
                await client.send(SOURCE_FORMS[form](pieces), envelope)
            assert stream.commands == []
            return
        assert stream.commands == []
        if planned.content.eight_bit is None and "8BITMIME" not in offered:
            assume(b"".join(pieces).isascii())  # not known before sending
        if (error := error_on_the_way(planned, b"".join(pieces), offered)) is not None:
            with pytest.raises(error):
                await client.send(SOURCE_FORMS[form](pieces), envelope)
            assert stream.contents == [] and not any("LAST" in line for line in stream.commands)
            return
        outcome = await client.send(SOURCE_FORMS[form](pieces), envelope)
        assert set(outcome.accepted) == set(envelope.recipients)
        chunks_known = planned.content.size is not None
        sent = [line for line in stream.commands if chunks_known or not line.startswith("BDAT")]
        assert sent == planned_lines(planned)
        for command in planned.commands():
            if isinstance(command, Mail | Rcpt):
                keywords = [each.keyword for each in command.parameters.parameters()]
                assert len(keywords) == len(set(keywords)), "no parameter is sent twice"
        assert stream.contents == [b"".join(pieces)] * len(planned.transactions)

    with (
        mock.patch.object(planning, "BDAT_SIZE", SMALL_CHUNK),
        mock.patch.object(submit, "BDAT_SIZE", SMALL_CHUNK),
    ):
        converse(stream, talk, secure=secure, lmtp=lmtp)


@given(rich_offers(), envelopes(), strategies.messages())
def test_str_of_a_plan_shows_its_lines(
    offered: Extensions, envelope: Envelope, body: bytes
) -> None:
    try:
        planned = plan(body, envelope, offered)
    except NotOffered:
        return
    shown = [*map(str, planned.commands()), f"[{len(body)} octets of content]"]
    assert str(planned).split("\n") == shown
    assert str(planned).replace("\n", "").isprintable()
