"""The messages that ``smtpproto demo`` sends, and the notes beside the dialogue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate

from attrs import evolve, frozen

from ..grammar.envelope import Envelope
from .commentary import Section

CLIENT, SERVER = "client.example", "mail.example"
USER = "ann"
REFUSED = "dave@mail.example"


@frozen
class DemoMessage:
    """A message to send. *content* must arrive octet for octet."""

    title: str
    envelope: Envelope
    content: bytes


def demo_messages() -> list[DemoMessage]:
    """Return the messages of the demonstration."""
    date = formatdate(time.time())
    plain = f"""\
From: Ann <ann@client.example>
To: Bob <bob@mail.example>, Carol <carol@mail.example>
Date: {date}
Subject: Hello

Hello Bob, hello Carol!
"""
    utf8 = f"""\
From: Jörg <jörg@bücher.example>
To: Zoë <zoë@mail.example>
Date: {date}
Subject: Grüße aus Köln
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Übermorgen gibt es Bücher. ¿Vienes? Да!
"""
    dots = ".\n..\n.x\n\n.hidden and ...\nno dot in front.\n..\n.\n"
    ann, bob, carol = "ann@client.example", "bob@mail.example", "carol@mail.example"
    return [
        DemoMessage("Hello", Envelope(ann, [bob, REFUSED, carol]), _octets(plain)),
        DemoMessage("Grüße", Envelope("jörg@bücher.example", "zoë@mail.example"), _octets(utf8)),
        DemoMessage("Dots", Envelope(ann, bob), _octets(dots)),
    ]


_GOODBYE = Section(
    title="Goodbye",
    starts_at="C: QUIT",
    intro="The client ends the session and the server confirms it.",
)


def _octets(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def sections(messages: Sequence[DemoMessage]) -> list[Section]:
    """Return the sections of the dialogue in which *messages* are sent, with their notes. These are
    the first of :func:`demo_messages`, or all."""
    contents = zip(_messages_sections(), messages, strict=False)
    its = [evolve(section, content=message.content) for section, message in contents]
    return [*_opening(), *its, _GOODBYE]


def _opening() -> list[Section]:
    return [
        Section(
            title="Greeting",
            starts_at="S: 220",
            intro="The client has connected. The server speaks first, with its greeting. Then the "
            "client sends its own name, and the reply lists the extensions of the server.",
            notes=[
                ("S: 220", "the greeting"),
                ("C: EHLO", "hello, in extended SMTP (ESMTP)"),
                ("S: 250-PIPELINING", "commands need not wait for replies"),
                ("S: 250-SIZE", "the largest message, in octets"),
                ("S: 250-8BITMIME", "content need not be ASCII"),
                ("S: 250-SMTPUTF8", "addresses need not be ASCII either"),
                ("S: 250-CHUNKING", "content may be sent in chunks"),
                ("S: 250-LIMITS", "the most recipients of one message"),
                ("S: 250-ENHANCED", "replies have codes such as 5.1.1"),
                ("S: 250-STARTTLS", "TLS can start on this connection"),
                ("S: 250 STARTTLS", "TLS can start on this connection"),
            ],
        ),
        Section(
            title="Encryption",
            starts_at="C: STARTTLS",
            intro="So far, anyone on the path can read and change the dialogue. The client asks "
            "for TLS, and verifies the server's certificate before it sends anything else.",
            notes=[
                ("S: 220", "the last line in clear"),
                ("*: TLS", "verified with the CA of this run"),
                ("C: EHLO", "the earlier EHLO no longer counts"),
                ("S: 250-AUTH", "new: logins, now that TLS is active"),
                ("S: 250 AUTH", "new: logins, now that TLS is active"),
            ],
        ),
        Section(
            title="Login",
            starts_at="C: AUTH",
            intro="The client sends user name and password in one line. The password was made for "
            "this run. The transcript masks both, as all logs of this library do.",
            notes=[
                ("C: AUTH", "*** replaces name and password"),
                ("S: 235", "the server accepts them"),
            ],
        ),
    ]


def _messages_sections() -> list[Section]:
    return [
        Section(
            title="A message with one refused recipient",
            starts_at="C: MAIL",
            intro="The envelope, MAIL and RCPT, names the sender and the recipients. The server "
            "does not take them from the header. This is the message:",
            notes=[
                ("C: RCPT", "PIPELINING: these five commands"),
                ("C: RCPT", "are sent in one write, before the"),
                ("C: RCPT", "first reply arrives"),
                ("S: 250", "replies come in the same order"),
                ("S: 250", "Bob is accepted"),
                ("S: 550", "Dave is refused, the others are not"),
                ("S: 250", "Carol is accepted"),
                ("C: [", "the message above"),
                ("C: end of data", "a line with a single dot"),
                ("S: 250", "the server has it on its disk"),
            ],
        ),
        Section(
            title="Addresses and text beyond ASCII",
            starts_at="C: MAIL",
            intro="The sender, recipient, subject and body are not ASCII. With SMTPUTF8 and "
            "8BITMIME they are sent in UTF-8 as they are; nothing has to be encoded.",
            notes=[("C: RCPT", "allowed because MAIL says SMTPUTF8")],
        ),
        Section(
            title="A message full of dots",
            starts_at="C: MAIL",
            intro="A line with a single dot ends a message. A message may still contain such "
            "lines: the sender adds a dot to each line that starts with one, and the receiver "
            "removes it.",
            notes=[("C: end of data", "this dot ends the message")],
        ),
    ]
