"""Addresses on their way from the envelope to MAIL and RCPT (RFC 5321 2.4, 4.1.2, 4.5.3.1)."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, Leniencies
from tests.support.dialogue import GOODBYE, data, hello, play, send

DOMAIN_OF_255_OCTETS = ".".join(["d" * 63] * 4)
MESSAGE = data("hello")


def path_commands(sender: str, *recipients: str) -> str:
    """Return MAIL and RCPT with the addresses as they are, and their replies."""
    commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{path}>" for path in recipients)]
    return "".join(f"C: {line}\nS: 250 ok\n" for line in commands)


@pytest.mark.req("RFC5321-2.3.11-01/client", "RFC5321-2.4-02/client", "RFC5321-3.3-09")
@pytest.mark.parametrize(
    "local_part",
    ["smith", "SMITH", "sMiTh+Box", "Smith.J", "s%Relay!User", "=?utf-8?q?A?=", '"A b"', '"A..B"'],
)
def test_the_local_part_is_sent_with_its_case_and_its_characters(local_part: str) -> None:
    address = f"{local_part}@Example.org"
    outcome = send(
        f"{hello()}{path_commands(address, address)}{MESSAGE}{GOODBYE}",
        Envelope(address, [address]),
    )
    assert list(map(str, outcome.accepted)) == [address]


@pytest.mark.req("RFC5321-4.1.2-05/client", "RFC5321-4.1.2-10/client")
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ('"bob"', "bob"),
        (r'"b\ob"', "bob"),
        (r'"b.\o.b"', "b.o.b"),
        (r'"b\ b"', '"b b"'),
        (r'"b\,b"', '"b,b"'),
        (r'"b\"b"', r'"b\"b"'),
        (r'"b\\b"', r'"b\\b"'),
        (r'"\\\""', r'"\\\""'),
        ('"@"', '"@"'),
        ('""', '""'),
    ],
)
def test_a_local_part_is_sent_with_the_least_quoting(given: str, sent: str) -> None:
    script = path_commands(f"{sent}@a.example", f"{sent}@b.example")
    envelope = Envelope(f"{given}@a.example", [f"{given}@b.example"])
    send(f"{hello()}{script}{MESSAGE}{GOODBYE}", envelope)


@pytest.mark.req("RFC5321-2.4-02/client", "RFC5321-2.4-03/client", "RFC5321-4.1.2-05/client")
def test_recipients_are_the_same_if_they_differ_only_in_quoting_or_the_case_of_the_domain() -> None:
    """The server gets each of them once. Local-parts that differ in case are not the same."""
    given = ["bob@example.org", "Bob@example.org", "bob@EXAMPLE.org", '"bob"@example.org']
    script = path_commands("ann@example.org", *given[:2])
    outcome = send(f"{hello()}{script}{MESSAGE}{GOODBYE}", Envelope("ann@example.org", given))
    assert list(map(str, outcome.accepted)) == given[:2]


@pytest.mark.req(
    "RFC5321-4.5.3.1-01/client",
    "RFC5321-4.5.3.1.1-01/client",
    "RFC5321-4.5.3.1.2-01/client",
    "RFC5321-4.5.3.1.3-01/client",
)
def test_names_and_addresses_of_the_largest_sizes_are_sent() -> None:
    """A local-part of 64 octets, a domain of 255, and a path of 256 with its brackets."""
    strict = Leniencies.strict()
    local_part = "l" * 64
    short = f"{local_part}@example.org"
    long = f"{local_part}@{DOMAIN_OF_255_OCTETS[: 256 - 2 - 65 - 1]}x"
    assert (len(DOMAIN_OF_255_OCTETS), len(f"<{long}>")) == (255, 256)
    script = f"{path_commands(short, short, long)}{MESSAGE}{GOODBYE}"
    send(f"{hello()}{script}", Envelope(short, [short, long]), leniencies=strict)
    script = f"{path_commands(long, short)}{MESSAGE}{GOODBYE}"
    send(f"{hello()}{script}", Envelope(long, [short]), leniencies=strict)
    named = hello().replace("[127.0.0.1]", DOMAIN_OF_255_OCTETS)
    play(f"{named}{GOODBYE}", hello=DOMAIN_OF_255_OCTETS, leniencies=strict)
