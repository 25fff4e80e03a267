"""Messages, and envelopes for them, that are sent through other programs."""

from __future__ import annotations

from smtpproto import Envelope

_HEADER = b"From: Ann <ann@a.test>\r\nTo: Bob <bob@b.test>\r\nSubject: dots and all\r\n"
_MIME = (
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
)
_DOTS = (
    b".",
    b"..",
    b"...",
    b".hidden",
    b"..hidden",
    b". ",
    b"",
    b".",
    b"",
    b"QUIT",
    b".\tx",
    b"z",
)
_LINE = b"%06d 0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n"

PLAIN = _HEADER + b"\r\nHello Bob,\r\n\r\n  indented, and blanks at the end  \r\n\tand a tab\r\n"
DOTS = _HEADER + b"\r\n" + b"\r\n".join(_DOTS) + b"\r\n"
LAST_DOT = _HEADER + b"\r\n.\r\ntext\r\n.\r\n"
EIGHT_BIT = _HEADER + _MIME + "\r\nGrüße aus Köln: żółw, 葉, 🐢\r\n".encode() + b"\xff\x80\xfe\r\n"
LARGE = (
    _HEADER + b"\r\n" + b"".join(_LINE % number + b".\r\n" for number in range(14_500)) + b"z\r\n"
)
assert len(LARGE) > 1024 * 1024

# The fields that a server may add if they are absent.
DATED = b"Date: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@a.test>\r\n"

CONTENTS = {
    "plain": PLAIN,
    "dots": DOTS,
    "last-dot": LAST_DOT,
    "eight-bit": EIGHT_BIT,
    "large": LARGE,
}

# The mailboxes of Postfix, Exim and Dovecot are in box.test.
ALICE, BOB = "alice@box.test", "bob@box.test"
TO_ALICE = Envelope("ann@a.test", ALICE)
TO_BOB = Envelope("ann@a.test", "bob@b.test")
