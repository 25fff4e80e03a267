"""The plan of a message: several transactions, where the server announces limits (RFC 9422)."""

from __future__ import annotations

import io

import pytest

from smtpproto import Client, Envelope, Extensions, NotOffered
from smtpproto.mail.preparation import Source
from tests.support.envelopes import TO_BOB
from tests.support.lenient_server import SOURCE_FORMS, TO_FIVE, LenientServer, converse
from tests.support.planning import command_lines, refusal


def sent_under(limits: str, *envelopes: Envelope) -> list[list[str]]:
    """Return the commands sent for each of *envelopes*; none if *limits* exclude it."""
    stream, sent = LenientServer(Extensions({"LIMITS": limits})), []

    async def talk(client: Client) -> None:
        for envelope in envelopes:
            stream.commands.clear()
            try:
                await client.send(b"hello\n", envelope)
            except NotOffered:
                assert stream.commands == []
            sent.append(list(stream.commands))

    converse(stream, talk)
    return sent


def transactions(*parts: str) -> list[str]:
    """Return the commands of transactions; each letter of a part is a recipient."""
    return [
        line
        for part in parts
        for line in (
            "MAIL FROM:<ann@example.org>",
            *(f"RCPT TO:<{name}@example.org>" for name in part),
            "DATA",
        )
    ]


@pytest.mark.req("RFC9422-3-06", "RFC9422-3-02", "RFC9422-3-03")
@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        ("RCPTMAX=2", ["ab", "cd", "e"]),
        ("RCPTMAX=1", ["a", "b", "c", "d", "e"]),
        ("RCPTMAX=5", ["abcde"]),
        ("FOO=1 rcptmax=4", ["abcd", "e"]),
        ("RCPTMAX=x MAILMAX=5", ["abcde"]),
        ("RCPTMAX=2;3", ["abcde"]),
        ("=5 RCPTMAX=2", ["abcde"]),
        ("RCPTMAX=2 MAILMAX=3", ["ab", "cd", "e"]),
        ("RCPTMAX=2 MAILMAX=2", []),
        ("RCPTDOMAINMAX=1", ["abcde"]),
    ],
)
def test_a_message_is_split_to_keep_within_the_limits(limits: str, parts: list[str]) -> None:
    assert sent_under(limits, TO_FIVE) == [transactions(*parts)]


@pytest.mark.req("RFC9422-3-06")
def test_the_limits_of_a_connection_count_earlier_messages() -> None:
    first, second, third = sent_under("MAILMAX=2", TO_BOB, TO_BOB, TO_BOB)
    assert first == second != third == []
    assert sent_under("MAILMAX=2", TO_BOB) == [first]  # the third fits on a new connection
    other = Envelope("ann@example.org", ["bob@EXAMPLE.org", "carl@example.com"])
    both = Envelope("ann@example.org", ["bob@example.org", "postmaster"])
    elsewhere = Envelope("ann@example.org", "carl@example.com")
    sent = sent_under("RCPTDOMAINMAX=1", TO_BOB, other, both, TO_FIVE, elsewhere)
    assert [bool(commands) for commands in sent] == [True, False, True, True, False]


@pytest.mark.parametrize("form", ["octets", "file", "list"])
def test_each_transaction_has_the_whole_content(form: str) -> None:
    stream = LenientServer(Extensions({"LIMITS": "RCPTMAX=2"}))
    pieces = [b"before", b"hello\r\n", b"there\r\n"]
    source = SOURCE_FORMS[form](pieces)
    if isinstance(source, io.BytesIO):
        source.seek(6)
    converse(stream, lambda client: client.send(source, TO_FIVE))
    content = b"".join(pieces[form == "file" :])
    assert stream.contents == [content] * 3


@pytest.mark.parametrize("form", ["iterator", "async", "pipe"])
def test_content_that_can_be_read_only_once_is_not_split(form: str) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    def source() -> Source:
        return Pipe(b"hello\n") if form == "pipe" else SOURCE_FORMS[form]([b"hello\n"])

    assert "only once" in refusal({"LIMITS": "RCPTMAX=2"}, TO_FIVE, source())
    assert command_lines({"LIMITS": "RCPTMAX=5"}, TO_FIVE, source()) == transactions("abcde")
