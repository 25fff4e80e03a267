"""What ``smtpproto demo`` sends, and what it says about it."""

from __future__ import annotations

import time
from email.utils import formatdate

from attrs import frozen

from ..mail.envelope import Envelope
from .transcript import Section

CLIENT, SERVER = "client.example", "mail.example"
USER = "ann"
REFUSED = "nobody@mail.example"


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
    text = ".\n..\n.x\n...\n. \nno dot in front.\n\n.\n.\n"
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
                ("S: 220", "ready"),
                ("C: EHLO", "extended hello"),
                ("S: 250-PIPELINING", "commands may be sent ahead of replies"),
                ("S: 250-SIZE", "the largest message it takes"),
                ("S: 250-8BITMIME", "content need not be ASCII"),
                ("S: 250-SMTPUTF8", "and neither need addresses"),
                ("S: 250-ENHANCED", "replies say more: 5.1.1, not just 550"),
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
                ("S: 220", "from here on all is encrypted"),
                ("*: TLS", "verified: issued by the CA made for this run"),
                ("C: EHLO", "all said before is forgotten, so: again"),
                ("S: 250-AUTH", "new: now passwords are welcome"),
                ("S: 250 AUTH", "new: now passwords are welcome"),
            ],
        ),
        Section(
            title="Login",
            begins="C: AUTH",
            intro="User name and password, in one line. The transcript masks them, as all logs "
            "of this library do.",
            notes=[("C: AUTH", "*** is the transcript's, not the wire's"), ("S: 235", "welcome")],
        ),
        Section(
            title="A message, and a recipient who is refused",
            begins="C: MAIL",
            intro="The envelope (MAIL and RCPT) says who sends and who receives; the header of the "
            "message is not consulted. This is the message:",
            content=plain.content,
            notes=[
                ("C: MAIL", "these five commands leave in one write,"),
                ("C: RCPT", "without a wait for any reply ..."),
                ("S: 250", "... and the replies come in order"),
                ("S: 250", "Bob is accepted"),
                ("S: 550", "nobody is refused; the others go on"),
                ("S: 250", "Carol is accepted"),
                ("S: 354", "go ahead"),
                ("C: end of data", "a line of one dot"),
                ("S: 250", "the server has it, on its disk"),
            ],
        ),
        Section(
            title="Addresses and text beyond ASCII",
            begins="C: MAIL",
            intro="Sender, recipient, subject and body need more than ASCII. With SMTPUTF8 and "
            "8BITMIME they travel as they are, in UTF-8, and nothing is encoded.",
            content=utf8.content,
            notes=[
                ("C: MAIL", "said in advance: UTF-8 is to come"),
                ("C: end of data", "same connection, next message"),
            ],
        ),
        Section(
            title="A message full of dots",
            begins="C: MAIL",
            intro="A line of one dot ends a message. So what if a message has such a line? The "
            "sender adds a dot to each line that starts with one; the receiver takes it away.",
            content=dots.content,
            notes=[("C: end of data", "this dot alone is a real end")],
        ),
        Section(
            title="Good-bye",
            begins="C: QUIT",
            intro="Ended in good order: both sides know that nothing is missing.",
        ),
    ]
