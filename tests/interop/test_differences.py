"""The same sessions with our server, aiosmtpd and Postfix: where their answers differ, and why ours
is right.

``-s`` shows the table. A difference without a reason fails the test.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import BinaryIO, TypeVar

import pytest
from attrs import evolve, frozen

from tests.interop.aiosmtpd_server import AiosmtpdInbox, aiosmtpd_server
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import TIMEOUT
from tests.interop.smtplib_client import dial
from tests.support.near_legal import command_line

pytestmark = [pytest.mark.peer("aiosmtpd"), pytest.mark.peer("postfix")]

T = TypeVar("T")

SESSIONS = 500
PROBES = b"NOOP\r\nRCPT TO:<bob@box.test>\r\nQUIT\r\n"
"""Sent after each step: the answers show the state that the step has led to."""
GREETED = (b"EHLO client.example\r\n",)
IN_MAIL = (*GREETED, b"MAIL FROM:<ann@a.test>\r\n")
IN_RCPT = (*IN_MAIL, b"RCPT TO:<bob@box.test>\r\n")
IN_DATA = (*IN_RCPT, b"DATA\r\n")
PHASES = ((), GREETED, IN_MAIL, IN_RCPT)


@frozen
class Step:
    """Octets that a client sends at once, after it has waited for the replies to *before*."""

    before: tuple[bytes, ...]
    octets: bytes

    def __str__(self) -> str:
        *_, last = self.before or (b"conn",)
        octets = self.octets.removesuffix(b"\r\n")
        return f"{last[:4].decode()}:{octets.decode('latin-1')}"


@frozen
class Mail:
    """What smtplib sends."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    def __str__(self) -> str:
        return f"{self.sender} to {','.join(self.recipients)}: {self.content!r}"


@frozen
class Reason:
    """Why our answer is right where that of *peer* ("" for both) differs."""

    peer: str
    pattern: str
    """Of the step or the mail, as text."""
    why: str
    section: str
    """The RFC, and its section."""

    def explains(self, peer: str, step: str) -> bool:
        """Return whether this is a reason for the difference."""
        flags = re.IGNORECASE | re.DOTALL
        return self.peer in ("", peer) and re.fullmatch(self.pattern, step, flags) is not None


REASONS = [
    Reason("", r".*(?<!\r)\n.+|.*\r(?!\n).*", "CR or LF alone ends no line", "5321 2.3.8"),
    Reason("Postfix", "conn:mail .*", "EHLO comes before MAIL", "5321 4.1.4"),
    Reason("", "ehlo:mail from:<postmaster>.*", "only RCPT needs no domain", "5321 4.1.1.3"),
    Reason("aiosmtpd", ".*:rcpt to:<>.*", "only MAIL has the null path", "5321 4.1.2"),
    Reason("", ".*:(mail from|rcpt to):[^<].*", "a path has brackets", "5321 4.1.2"),
    Reason("", ".*:rcpt to:<[^@]*>.*", "a mailbox has a domain", "5321 4.1.2"),
    Reason("", r".*:rcpt to:<[^>]*\.\..*", "each dot is between atoms", "5321 4.1.2"),
    Reason("aiosmtpd", r".*:mail from:<.*-\..*", "a label ends without hyphen", "5321 4.1.2"),
    Reason("aiosmtpd", r".*:rcpt to:.*[\x80-\xff].*", "these octets are not UTF-8", "6531 3.3"),
    Reason("aiosmtpd", ".*:rcpt to:<.*x{64}@.*", "a path has 256 octets at most", "5321 4.5.3.1.3"),
    Reason("aiosmtpd", r".*:mail from:<.*\.>.*", "a final dot is the same name", "1034 3.1"),
    Reason("Postfix", ".* (auth|orcpt|notify)=.*", "we do not offer it here", "5321 4.1.1.11"),
    Reason("Postfix", ".*:help.*", "a server should answer HELP", "5321 4.1.1.8"),
    Reason("Postfix", ".*:etrn.*", "we do not offer it here", "5321 4.2.4"),
    Reason("Postfix", ".*:vrfy bob .*", "252 says nothing about a name", "5321 3.5.3"),
    Reason("Postfix", ".*x{2000}.*", "a command has 512 octets at most", "5321 4.5.3.1.4"),
    Reason("aiosmtpd", "data:x{3000}.*", "more than 1000 octets may be accepted", "5321 4.5.3.1"),
    Reason("", ".*:(get|rto:|hev6:).*", "421 closes a session of another protocol", "5321 7.8"),
    Reason("Postfix", ".*:([^a-z].*|(mailfrom|rcpt<to):.*)", "500, and not closed", "5321 4.2.4"),
]  # fmt: skip


GOOD = Mail("ann@a.test", ("bob@box.test",), b"hi\r\n")
MAILS = [
    GOOD,
    *(evolve(GOOD, sender=sender) for sender in ("", "Ann <ann@a.test>", "a..b@a.test", "ann")),
    *(evolve(GOOD, recipients=("bob@box.test", other)) for other in (".b@box.test", "")),
    evolve(GOOD, recipients=("a b@box.test",)),
    *(evolve(GOOD, content=it) for it in (b".\r\n..\r\n", b"a\n.\nb\r\n", b"x" * 2000, b"\x80\0")),
]
SMTPLIB_REASONS = [
    Reason("", r".*a\\n\..*", "CR or LF alone must not be sent, or taken", "5321 2.3.8"),
    Reason("", r"a\.\..*", "each dot is between atoms", "5321 4.1.2"),
    Reason("", "ann .*", "a mailbox has a domain", "5321 4.1.2"),
    Reason("aiosmtpd", r".*,\.b@.*", "each dot is between atoms", "5321 4.1.2"),
    Reason("aiosmtpd", ".* to a b@.*", "a blank is in quotes only", "5321 4.1.2"),
    Reason("aiosmtpd", ".*,: .*", "only MAIL has the null path", "5321 4.1.2"),
    Reason("aiosmtpd", ".*x{2000}.*", "more than 1000 octets may be accepted", "5321 4.5.3.1"),
]


def answers(port: int, step: Step) -> list[str]:
    """Return the codes of all replies to *step* and PROBES."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        file = connection.makefile("rb")
        read_code(file)
        for line in step.before:
            connection.sendall(line)
            assert read_code(file)[:1] in ("2", "3")
        codes = []
        with contextlib.suppress(ConnectionError):
            connection.sendall(step.octets + PROBES)
            while code := read_code(file):
                codes.append(code)
        return codes


def send(port: int, mail: Mail) -> list[str]:
    """Return what smtplib reports: "sent", or the error, and the codes of refusals."""
    with dial(port) as client:
        try:
            refused = client.sendmail(mail.sender, mail.recipients, mail.content)
        except smtplib.SMTPRecipientsRefused as error:
            return ["recipients refused", *(str(code) for code, _ in error.recipients.values())]
        except smtplib.SMTPResponseException as error:
            return [type(error).__name__, str(error.smtp_code)]
        return ["sent", *(str(code) for code, _ in refused.values())]


def read_code(file: BinaryIO) -> str:
    """Return the code of the next reply; "" at the end."""
    while (line := file.readline())[3:4] == b"-":
        pass
    return line[:3].decode()


def near_legal(count: int) -> Iterator[Step]:
    """Lines that are legal or nearly so, in every phase. None is followed by content."""
    dice = Random(1)
    for _ in range(count):
        line = command_line(dice)
        if line[:4].upper() not in (b"DATA", b"BDAT", b"AUTH", b"STAR", b"XCLI", b"XFOR", b"QUIT"):
            yield Step(PHASES[dice.randrange(len(PHASES))], line + b"\r\n")


HOSTILE = [
    Step(IN_DATA, b"a\r\n.\r\n"),
    Step(IN_DATA, b"..\r\n.a\r\n...\r\n.\r\n"),
    Step(IN_DATA, b"a\n.\r\nRSET\r\n\r\n.\r\n"),
    Step(IN_DATA, b"a\r\n.\nRSET\r\n\r\n.\r\n"),
    Step(IN_DATA, b"a\n.\nRSET\n\r\n.\r\n"),
    Step(IN_DATA, b"a\r.\rRSET\r\r\n.\r\n"),
    Step(IN_DATA, b"a\r\n.\rRSET\r\n\r\n.\r\n"),
    Step(IN_DATA, b"\0\x80\r\n.\r\n"),
    Step(IN_DATA, b"x" * 3000 + b"\r\n.\r\n"),
    Step(GREETED, b"MAIL FROM:<ann@a.test>\nRCPT TO:<bob@box.test>\n\r\n"),
    Step(GREETED, b"NOOP\rRSET\r\n"),
    Step(GREETED, b"NO\0OP\r\n"),
    Step(GREETED, b"x" * 5000 + b"\r\n"),
    Step(GREETED, b"NOOP " + b"x" * 5000 + b"\r\n"),
    Step(GREETED, b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@box.test>\r\nRSET\r\n"),
    Step(GREETED, b"MAIL FROM:<ann@a.test>\r\nMAIL FROM:<bob@a.test>\r\n"),
    Step(IN_RCPT, b"EHLO again.example\r\n"),
    Step(IN_RCPT, b"HELO again.example\r\n"),
    Step(IN_RCPT, b"RCPT TO:<refused@[]>\r\nDATA\r\na\r\n.\r\n"),
    Step(IN_MAIL, b"DATA\r\n"),
    Step((), b"MAIL FROM:<ann@a.test>\r\nDATA\r\n"),
    Step(GREETED, b"\x16\x03\x01\x00\x05\x01\r\n"),
    Step(GREETED, b"STARTTLS now\r\n"),
    Step(GREETED, b"AUTH PLAIN\r\n"),
]  # fmt: skip


@pytest.fixture
def ports(postfix: Postfix) -> Iterator[dict[str, int]]:
    """The ports of our server and of its peers, by name."""
    with serving("asyncio", Inbox()) as ours, aiosmtpd_server(AiosmtpdInbox()) as theirs:
        yield {"ours": ours, "aiosmtpd": theirs, "Postfix": postfix.port}


def compare(
    ports: Mapping[str, int],
    steps: Iterable[T],
    ask: Callable[[int, T], list[str]],
    reasons: list[Reason],
) -> None:
    """Print the steps whose answers differ in class or number. Each difference must have one of
    *reasons*, and each reason a difference."""
    used = set()
    for step in steps:
        ours = ask(ports["ours"], step)
        for peer in ("aiosmtpd", "Postfix"):
            theirs = ask(ports[peer], step)
            if [answer[:1] for answer in theirs] == [answer[:1] for answer in ours]:
                continue
            reason = next((it for it in reasons if it.explains(peer, str(step))), None)
            shown = f"ours {' '.join(ours)}, {peer} {' '.join(theirs)}"
            assert reason is not None, f"{str(step)!r:.200}: {shown}, and nothing says why"
            used.add(reason)
            print(f"{str(step)!r:50.50} {shown:60} {reason.why} (RFC {reason.section})")  # noqa: T201
    assert [reason.why for reason in reasons if reason not in used] == []


def test_each_difference_to_other_servers_has_a_reason(ports: dict[str, int]) -> None:
    steps = dict.fromkeys([*near_legal(SESSIONS), *HOSTILE])
    compare(ports, steps, answers, REASONS)


def test_each_difference_that_smtplib_sees_has_a_reason(ports: dict[str, int]) -> None:
    compare(ports, MAILS, send, SMTPLIB_REASONS)
