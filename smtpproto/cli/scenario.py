"""What ``smtpproto demo`` sends, and what it says about it."""

from __future__ import annotations

import time
from email.utils import formatdate

from attrs import frozen

from ..grammar.envelope import Envelope
from .transcript import Section

CLIENT, SERVER = "client.example", "mail.example"
USER = "ann"
REFUSED = "dave@mail.example"


@frozen
class Letter:
    """A message to send. *content* is what must arrive, octet for octet."""

    title: str
    envelope: Envelope
    content: bytes


def letters() -> list[Letter]:
    """The messages of the demonstration."""
    return [_plain(), _utf8(), _dots()]


def _plain() -> Letter:
    recipients = ["bob@mail.example", REFUSED, "carol@mail.example"]
    text = f"""\
From: Ann <ann@client.example>
To: Bob <bob@mail.example>, Carol <carol@mail.example>
Date: {formatdate(time.time())}
Subject: Hello

Hello Bob, hello Carol!
"""
    return Letter("Hello", Envelope("ann@client.example", recipients), _octets(text))


def _utf8() -> Letter:
    text = f"""\
From: Jörg <jörg@bücher.example>
To: Zoë <zoë@mail.example>
Date: {formatdate(time.time())}
Subject: Grüße aus Köln
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Übermorgen gibt es Bücher. ¿Vienes? Да!
"""
    return Letter("Grüße", Envelope("jörg@bücher.example", "zoë@mail.example"), _octets(text))


def _dots() -> Letter:
    text = ".\n..\n.x\n\n.hidden and ...\nno dot in front.\n..\n.\n"
    return Letter("Dots", Envelope("ann@client.example", "bob@mail.example"), _octets(text))


def _octets(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def sections(plain: Letter, utf8: Letter, dots: Letter) -> list[Section]:
    """The parts of the dialogue, with what to say about them."""
    return [
        Section(
            title="Greeting",
            begins="S: 220",
            intro="The client has connected. The server speaks first; then the client gives its "
            "name, and learns what the server can do.",
            notes=[
                ("S: 220", "the greeting"),
                ("C: EHLO", "hello, in extended SMTP"),
                ("S: 250-PIPELINING", "commands may run ahead of replies"),
                ("S: 250-SIZE", "the largest message it takes"),
                ("S: 250-8BITMIME", "content need not be ASCII"),
                ("S: 250-SMTPUTF8", "and neither need addresses"),
                ("S: 250-ENHANCED", "replies tell why, as in 550 5.1.1"),
                ("S: 250-STARTTLS", "TLS can start on this connection"),
                ("S: 250 STARTTLS", "TLS can start on this connection"),
            ],
        ),
        Section(
            title="Encryption",
            begins="C: STARTTLS",
            intro="So far anybody on the way could read this, or change it. The client asks for "
            "TLS, and checks the server's certificate before it says another word.",
            notes=[
                ("S: 220", "the last line in clear"),
                ("*: TLS", "verified with the CA of this run"),
                ("C: EHLO", "what was said in clear is forgotten"),
                ("S: 250-AUTH", "new: now passwords are welcome"),
                ("S: 250 AUTH", "new: now passwords are welcome"),
            ],
        ),
        Section(
            title="Login",
            begins="C: AUTH",
            intro="User name and password, in one line, made up for this run. The transcript masks "
            "them, as all logs of this library do.",
            notes=[("C: AUTH", "*** hides name and password"), ("S: 235", "they are right")],
        ),
        Section(
            title="A message, and a recipient who is refused",
            begins="C: MAIL",
            intro="The envelope (MAIL and RCPT) says who sends and who receives; the header of the "
            "message is not consulted. This is the message:",
            content=plain.content,
            notes=[
                ("C: RCPT", "PIPELINING: these five commands"),
                ("C: RCPT", "leave in one write, and none waits"),
                ("C: RCPT", "for the reply to the one before"),
                ("S: 250", "the replies come in the same order"),
                ("S: 250", "Bob"),
                ("S: 550", "Dave is refused, the others go on"),
                ("S: 250", "Carol"),
                ("C: [", "what is shown above"),
                ("C: end of data", "a line of one dot"),
                ("S: 250", "the server has it on its disk"),
            ],
        ),
        Section(
            title="Addresses and text beyond ASCII",
            begins="C: MAIL",
            intro="Sender, recipient, subject and body need more than ASCII. With SMTPUTF8 and "
            "8BITMIME they travel as they are, in UTF-8; nothing needs to be encoded.",
            content=utf8.content,
            notes=[
                ("C: RCPT", "MAIL has said that UTF-8 will come"),
            ],
        ),
        Section(
            title="A message full of dots",
            begins="C: MAIL",
            intro="A line of one dot ends a message. So what if a message has such a line? The "
            "sender adds a dot to each line that starts with one; the receiver takes it away.",
            content=dots.content,
            notes=[("C: end of data", "the one dot that is the end")],
        ),
        Section(
            title="Good-bye",
            begins="C: QUIT",
            intro="Ended in good order: both sides know that nothing is missing.",
        ),
    ]
