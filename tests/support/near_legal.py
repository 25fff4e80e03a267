"""Lines that are legal, or legal but for one or two edits: the same ones in each run.

Only ``randrange`` of a seeded generator chooses, since its results are the same on every version of
Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

_LOCAL_PARTS = (
    "ann", "bob.smith", "a", "x" * 64, "x" * 65, '"a b"', '"a\\"b"', '"ann"', "a..b", ".a", "a.",
    "postmaster", "Postmaster", "o'neil+tag", "{}|~!#$%&*/=?^_`", '""', "ü", "用户", "",
)  # fmt: skip
_DOMAINS = (
    "example.org", "EXAMPLE.org", "a", "a.b.c.test", "xn--bcher-kva.test", "bücher.test",
    "a_b.test", "example.org.", "-a.test", "a-.test", "x" * 63 + ".test", "x" * 64 + ".test",
    "[192.0.2.1]", "[IPv6:2001:db8::1]", "[2001:db8::1]", "[256.1.1.1]", "[tag:content]",
    "127.0.0.1", "a..b", "", ".".join(["label"] * 42), ".".join(["label"] * 43),
)  # fmt: skip
_ROUTES = ("", "", "", "", "", "@a.test:", "@a.test,@b.test:", "@a.test")
_MAIL_PARAMETERS = (
    "SIZE=1500", "size=0", "SIZE=99999999", "SIZE=", "SIZE", "SIZE=" + "9" * 20,
    "SIZE=" + "9" * 21, "BODY=8BITMIME", "BODY=7bit", "Body=BinaryMime", "BODY=x", "BODY",
    "SMTPUTF8", "SMTPUTF8=1", "AUTH=<>", "AUTH=ann+40a.test", "AUTH=ann@a.test", "RET=FULL",
    "RET=x", "ENVID=QQ+2B1", "ENVID=+", "REQUIRETLS", "BY=120;R", "BY=0;R", "HOLDFOR=60",
    "HOLDUNTIL=2030-01-01T00:00:00Z", "MT-PRIORITY=3", "MT-PRIORITY=10", "SOLICIT=a.test:ADV",
    "X-OWN=1", "=", "NOTIFY=NEVER",
)  # fmt: skip
_RCPT_PARAMETERS = (
    "NOTIFY=NEVER", "NOTIFY=SUCCESS,FAILURE", "NOTIFY=NEVER,DELAY", "notify=delay", "NOTIFY=",
    "ORCPT=rfc822;bob+40b.test", "ORCPT=rfc822;bob@b.test", "ORCPT=utf-8;b\\x{FC}b@b.test",
    "ORCPT=x", "RRVS=2030-01-01T00:00:00Z", "RRVS=x", "SIZE=1", "X=1",
)  # fmt: skip
_OTHERS = (
    "DATA", "RSET", "QUIT", "NOOP", "NOOP text", "HELP", "HELP MAIL", "VRFY bob",
    "VRFY bob SMTPUTF8", "VRFY", "EXPN list", "EXPN list smtputf8", "STARTTLS", "STARTTLS now",
    "AUTH PLAIN", "AUTH PLAIN AGFubgBzZWNyZXQ=", "AUTH PLAIN =", "AUTH PLAIN *", "AUTH plain",
    "AUTH CRAM-MD5", "AUTH X@Y", "AUTH", "ETRN a.test", "ETRN @a.test", "ETRN #queue", "ETRN",
    "TURN", "SEND FROM:<a@b.c>", "XCLIENT ADDR=192.0.2.7 NAME=a.test", "XCLIENT LOGIN=ann",
    "XCLIENT ADDR=x", "XCLIENT", "XFORWARD NAME=a.test PROTO=ESMTP", "XFORWARD X=1", "BDAT 0",
    "BDAT 0 LAST", "BDAT 3 LAST", "BDAT 3", "BDAT", "BDAT x", "BDAT -1", "BDAT 3 FIRST",
    "BDAT 99999999999999999999", "BDAT 999999999999999999999", "LHLO a.test", "XOWN argument",
    "XOTHER", "GET / HTTP/1.1", "Host: a.test", "Subject: hello", "MAIL", "MAIL FROM",
    "MAIL-FROM:<a@b.test>", "RCPT", "RCPT TO", "",
)  # fmt: skip
_VERBS = ("MAIL", "mail", "Mail", "RCPT", "rcpt", "EHLO", "ehlo", "HELO", "Helo", "LHLO")
_EDITS = (
    b" ", b"  ", b"\t", b"\r", b"\n", b"\0", b"\x7f", b"\x80", b"\xc3", b"\xc3\xbc", b"<", b">",
    b"@", b":", b",", b";", b'"', b"\\", b"=", b"+", b".", b"-", b"_", b"[", b"]", b"*", b"%",
    b"0", b"9", b"A", b"z", b"~", b"x" * 300, b"x" * 2000,
)  # fmt: skip
_TEXTS = ("", "Ok", "2.1.0 Ok", "2.1.5 Recipient ok", "5.1.1 No such user", "5.1.1", "2.0", "grüße")
_CODES = (
    "220", "221", "235", "250", "251", "252", "334", "354", "421", "450", "451", "452", "500",
    "501", "502", "503", "550", "552", "553", "554", "555", "199", "600", "25", "2500", "abc",
)  # fmt: skip
_OFFERS = (
    "PIPELINING", "SIZE 1000000", "SIZE", "SIZE x", "size 5", "8BITMIME", "CHUNKING", "BINARYMIME",
    "SMTPUTF8", "ENHANCEDSTATUSCODES", "STARTTLS", "AUTH PLAIN LOGIN", "AUTH=PLAIN",
    "AUTH  CRAM-MD5", "AUTH", "DSN", "LIMITS RCPTMAX=10 MAILMAX=3", "LIMITS x", "DELIVERBY 240",
    "FUTURERELEASE 9 x", "MT-PRIORITY MIXER", "NO-SOLICITING a.test:ADV", "REQUIRETLS",
    "XCLIENT NAME ADDR", "X-OWN", "ö", "",
)  # fmt: skip


def _one(dice: Random, values: Sequence[T]) -> T:
    return values[dice.randrange(len(values))]


def _edit(dice: Random, line: bytes) -> bytes:
    at = dice.randrange(len(line) + 1)
    match dice.randrange(5):
        case 0:
            return line[:at] + line[at + 1 :]
        case 1:
            return line[:at] + _one(dice, _EDITS) + line[at:]
        case 2:
            return line[:at] + _one(dice, _EDITS) + line[at + 1 :]
        case 3:
            return line.swapcase() if dice.randrange(2) else line[:at].swapcase() + line[at:]
        case _:
            return line[:at] + line[dice.randrange(len(line) + 1) :]


def _edited(dice: Random, line: bytes) -> bytes:
    for _ in range(max(0, dice.randrange(5) - 2)):  # most lines stay as they are
        line = _edit(dice, line)
    return line


def _address(dice: Random) -> str:
    common = dice.randrange(5) > 0
    local_part = "ann" if common else _one(dice, _LOCAL_PARTS)
    at = "" if dice.randrange(30) == 0 else "@"
    return f"{local_part}{at}{'example.org' if common else _one(dice, _DOMAINS)}"


def _path(dice: Random) -> str:
    match dice.randrange(12):
        case 0:
            return "<>"
        case 1:
            return "<Postmaster>"
        case 2:
            return _address(dice)
        case _:
            return f"<{_one(dice, _ROUTES)}{_address(dice)}>"


def _parameters(dice: Random, values: Sequence[str]) -> str:
    return "".join(f" {_one(dice, values)}" for _ in range(max(0, dice.randrange(6) - 3)))


def command_line(dice: Random) -> bytes:
    """Return a line, without CRLF, as a client might send it."""
    match verb := _one(dice, (*_VERBS, "")):
        case "MAIL" | "mail" | "Mail":
            text = f"{verb} {_one(dice, ('FROM', 'From', 'from'))}:{_path(dice)}"
            text += _parameters(dice, _MAIL_PARAMETERS)
        case "RCPT" | "rcpt":
            text = f"{verb} {_one(dice, ('TO', 'To', 'to'))}:{_path(dice)}"
            text += _parameters(dice, _RCPT_PARAMETERS)
        case "":
            text = _one(dice, _OTHERS)
        case _:
            text = f"{verb} {'client.example' if dice.randrange(2) else _one(dice, _DOMAINS)}"
    return _edited(dice, text.encode())


def reply(dice: Random, *, offers: bool = False) -> bytes:
    """Return a reply, with its line ends, as a server might send it; with *offers*, one to EHLO."""
    code = "250" if offers or dice.randrange(2) else _one(dice, _CODES)
    count = dice.randrange(12) if offers else dice.randrange(3)
    others = [_one(dice, _OFFERS if offers else _TEXTS) for _ in range(count)]
    lines = [_one(dice, _TEXTS), *others]
    marks = [*"-" * (len(lines) - 1), " "]
    codes = [_one(dice, _CODES) if dice.randrange(40) == 0 else code for _ in lines]
    written = [f"{code}{mark}{text}" for code, mark, text in zip(codes, marks, lines, strict=True)]
    octets = [line.encode() for line in written]
    if dice.randrange(2):
        at = dice.randrange(len(octets))
        octets[at] = _edited(dice, octets[at])
    return b"".join(line + b"\r\n" for line in octets)
