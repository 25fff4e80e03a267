"""Real messages of public corpora arrive as they were sent, over every adapter.

Which messages are refused follows from rules that these tests apply themselves.
"""

from __future__ import annotations

import email
import functools
import re
from collections.abc import Callable, Mapping
from email import policy
from email.message import Message
from email.policy import Policy

import pytest
from attrs import frozen

from smtpproto import (
    Body,
    Client,
    Envelope,
    GrammarError,
    Leniencies,
    MailParameters,
    Source,
    Tolerance,
)
from tests.interop.contents import TO_BOB
from tests.interop.corpora import read_corpora
from tests.interop.our_client import converse
from tests.interop.our_server import ADAPTERS, Inbox, serving
from tests.interop.sources import Sources

POLICIES: dict[str, Policy] = {"default": policy.default, "compat32": policy.compat32}
BINARY = Envelope("ann@a.test", "bob@b.test", parameters=MailParameters(body=Body.BINARY_MIME))
LONG_LINES = Leniencies(long_lines=Tolerance.ACCEPT)
_LINE_END = rb"\r\n|\r|\n"
NOT_UTF8 = "neither ASCII nor UTF-8"
LONG_LINE = "a line of more than 998 octets"

Corpora = Mapping[str, bytes]


@pytest.fixture(scope="module")
def corpora(sources: Sources) -> Corpora:
    """The messages of all corpora, by name."""
    messages = read_corpora(sources)
    assert len(messages) >= 300
    return messages


@pytest.fixture(scope="module")
def parsed(corpora: Corpora) -> Callable[[str], Mapping[str, Message]]:
    """Return the messages of all corpora as objects, for the name of a policy."""

    @functools.cache
    def parse(name: str) -> Mapping[str, Message]:
        form = POLICIES[name]
        return {key: email.message_from_bytes(corpora[key], policy=form) for key in corpora}

    return parse


@frozen
class Results:
    """What arrived, and the errors of what was refused, by name."""

    arrived: dict[str, bytes]
    refused: dict[str, str]

    def refused_for(self, reason: str) -> set[str]:
        """Return the names of the messages that were refused for *reason*."""
        return {name for name, error in self.refused.items() if reason in error}


def send_all(
    adapter: str, sources: Mapping[str, Source], envelope: Envelope, leniencies: Leniencies
) -> Results:
    """Send all *sources* over one connection to a server on the same adapter."""
    inbox, results = Inbox(), Results({}, {})

    async def talk(client: Client) -> None:
        for name, source in sources.items():
            try:
                await client.send(source, envelope)
            except GrammarError as error:
                results.refused[name] = str(error)
            else:
                results.arrived[name] = inbox.next().body
                assert inbox.empty

    with serving(adapter, inbox, extensions={"BINARYMIME": ""}) as port:
        converse(adapter, port, talk, leniencies=leniencies)
    return results


def with_crlf(octets: bytes) -> bytes:
    """Return *octets* with CRLF line ends, the last one included."""
    return b"".join(line + b"\r\n" for line in _lines(octets))


def _lines(octets: bytes) -> list[bytes]:
    lines = re.split(_LINE_END, octets)
    return lines if lines[-1] else lines[:-1]


def has_long_line(octets: bytes) -> bool:
    """Return whether a line has more than 998 octets (RFC 5321 4.5.3.1.6)."""
    return any(len(line) > 998 for line in _lines(octets))


def has_other_charset(octets: bytes) -> bool:
    """Return whether a header field is neither ASCII nor UTF-8 (RFC 6532 3.1)."""
    for line in _lines(octets):
        if not re.match(rb"[ \t]|[!-9;-~]+[ \t]*:", line):
            return False
        try:
            line.decode()
        except UnicodeDecodeError:
            return True
    return False


@pytest.mark.parametrize("adapter", [*ADAPTERS, "uvloop"])
def test_messages_as_octets_arrive_with_nothing_but_their_line_ends_changed(
    adapter: str, corpora: Corpora
) -> None:
    results = send_all(adapter, corpora, TO_BOB, Leniencies())
    for name, octets in results.arrived.items():
        assert octets == with_crlf(corpora[name]), name
    other = {name for name in corpora if has_other_charset(corpora[name])}
    long = {name for name in corpora if has_long_line(corpora[name])}
    assert results.refused_for(NOT_UTF8) == other
    assert results.refused_for(LONG_LINE) == long - other
    assert set(results.refused) == other | long
    assert len(results.arrived) >= 300


@pytest.mark.parametrize("adapter", [*ADAPTERS, "uvloop"])
def test_binary_messages_arrive_octet_for_octet(adapter: str, corpora: Corpora) -> None:
    results = send_all(adapter, corpora, BINARY, Leniencies())
    for name, octets in results.arrived.items():
        assert octets == corpora[name], name
    other = {name for name in corpora if has_other_charset(corpora[name])}
    assert results.refused_for(NOT_UTF8) == set(results.refused) == other
    assert len(results.arrived) >= 300


@pytest.mark.parametrize("adapter", [*ADAPTERS, "uvloop"])
@pytest.mark.parametrize("form", POLICIES)
def test_parsed_messages_arrive_as_the_same_messages(
    form: str, adapter: str, corpora: Corpora, parsed: Callable[[str], Mapping[str, Message]]
) -> None:
    messages = parsed(form)
    results = send_all(adapter, messages, TO_BOB, LONG_LINES)
    for name, octets in results.arrived.items():
        assert not difference(form, corpora[name], octets), name
    other = {name for name in corpora if has_other_charset(corpora[name])}
    assert results.refused_for(NOT_UTF8) == other
    for name in set(results.refused) - other:
        assert "cannot write the message" in results.refused[name]
        assert not is_writable(messages[name])
    assert len(results.arrived) >= 300


def is_writable(message: Message) -> bool:
    """Return whether the email package can write *message*, and read it again as the same."""
    form = message.policy.clone(linesep="\r\n", cte_type="8bit")
    try:
        again = email.message_from_bytes(message.as_bytes(policy=form), policy=message.policy)
    except UnicodeError:
        return False
    return not _difference(message, again)


@functools.cache
def difference(form: str, sent: bytes, arrived: bytes) -> str:
    """Return how two messages differ when they are parsed, or "".

    Messages that the email package itself would write differently do not count.
    """
    before, after = (
        email.message_from_bytes(octets, policy=POLICIES[form]) for octets in (sent, arrived)
    )
    found = _difference(before, after)
    return found if not found or is_writable(before) else ""


def _difference(sent: Message, arrived: Message) -> str:
    """Compare header fields, structure and payloads. Line ends at the end of a part may differ."""
    if found := _field_difference(sent, arrived):
        return found
    if sent.is_multipart() != arrived.is_multipart():
        return "one of them is multipart"
    if not sent.is_multipart():
        return "" if _payload(sent) == _payload(arrived) else "payload"
    parts, others = sent.get_payload(), arrived.get_payload()
    assert isinstance(parts, list) and isinstance(others, list)
    if len(parts) != len(others):
        return f"{len(parts)} parts, {len(others)} parts"
    found_in_parts = (_difference(*pair) for pair in zip(parts, others, strict=True))
    return next(filter(None, found_in_parts), "")


def _field_difference(sent: Message, arrived: Message) -> str:
    fields, others = list(sent.raw_items()), list(arrived.raw_items())
    if [name for name, _ in fields] != [name for name, _ in others]:
        return "names of fields"
    for (name, before), (_, after) in zip(fields, others, strict=True):
        # The parser drops blanks after the colon; raw UTF-8 is encoded for servers without it.
        if _body(before) != _body(after) and str(before).isascii():
            return f"field {name}"
        if not str(before).isascii() and _body(sent[name]) != _body(arrived[name]):
            return f"text of field {name}"
    return ""


def _body(value: object) -> str:
    return re.sub(r"\r\n|\r|\n", "\n", str(value)).rstrip()


def _payload(message: Message) -> bytes:
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return re.sub(_LINE_END, b"\n", payload).rstrip(b"\n")
