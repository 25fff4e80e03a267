"""The second part of ``smtpproto demo``: a mail agent in a simulated internet, told as a story."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..dns import MX, Kind
from ..grammar.address import ForwardPath
from ..grammar.envelope import Envelope
from ..grammar.parameters import RcptParameters
from ..grammar.reply import Reply
from ..mta.memory_store import MemoryQueue
from ..mta.queue_events import QueueEvent
from ..mta.report import Report, read_report
from ..policy import DKIM, Algorithm, Inspection
from ..server.handler import Session, Verdict
from ..testing.internet import Arrival, Behaviour, Internet
from ..testing.simulation import EPOCH
from ..transfer.assembly import MTAConfig, RunningMTA
from ..transfer.receive import Receiver
from ..transfer.running import running
from .commentary import Commentary, print_verdict
from .doctor_command import keys
from .terminal import Printer, Style

_WIDTH = 80
_SEED = 12  # decides all that is random but the key, so each run tells the same story
_NEW = 360.0  # seconds for which a host does not know the agent

AGENT, ADDRESS = "relay.client.example", "192.0.2.25"
DOMAIN = "client.example"
ANN, BOB, DAVE = "ann@client.example", "bob@books.example", "dave@mail.example"
MESSAGE = b"""\
From: Ann <ann@client.example>\r
To: Bob <bob@books.example>, Dave <dave@mail.example>\r
Date: Thu, 01 Jan 2026 00:00:00 +0000\r
Message-ID: <hello@client.example>\r
Subject: Hello\r
\r
Hello Bob, hello Dave!\r
"""

_INTRO = """What happens after a server has accepted a message? A mail agent (MTA) keeps it in a
queue, finds the host that takes it, tries again if it must, and tells the sender what could not be
delivered. The agent is the one that `smtpproto mta` runs. The DNS and the other hosts are simulated
in memory, and so is the clock: an hour passes in a moment."""
_DOMAINS = f"""Ann sends a message to Bob and to Dave, through the agent {AGENT}. These hosts take
mail for their domains and for hers; each name comes from the MX records of its domain."""
_EVENTS = """Each line is an event. It is told after it was written to the queue. In front are the
minutes and seconds since the message arrived, and the id of the message that it is about."""
_EXPLAIN = """`smtpproto queue explain` tells at any time where a message is, what each host said,
and what happens next. Dave's delivery has ended, and Bob's waits."""
_REPORT = """This is the report in Ann's mailbox (RFC 3464). Shown is its first part, for people.
The second part is for programs, and the third is her message."""
_LATER = """The greylisting host now knows the agent and takes the message. The agent asked the dead
host first again, because the MX record of that one is preferred."""
_WHO = """The agent has signed the message (DKIM). Bob's host asked the DNS for the key, for the
hosts that may send for client.example (SPF), and for what to do with mail that neither of them
proves (DMARC). What it found stands above the message."""
_UNSIGNED = "The message is not signed: that needs pip install 'smtpproto-sansio[auth]'"
_CHECK = "What the hosts have in their mailboxes, compared with what Ann sent."

_HOSTS = [
    ("books.example", "mx1.books.example", "dead: it never answers"),
    ("", "mx2.books.example", "refuses new senders for 5 min"),
    ("mail.example", "mx.mail.example", "has no mailbox for Dave"),
    ("client.example", "mx.client.example", "has Ann's mailbox"),
]


class MailStory:
    """One run of the story."""

    def __init__(self, commentary: Commentary, out: Printer) -> None:
        self._commentary = commentary
        self._out = out
        self._internet = Internet(_SEED)
        self._began = self._internet.utc()
        self._records: dict[str, str] = {}
        self._key = self._make_key()
        self._add_hosts()

    def _make_key(self) -> DKIM | None:
        """Return a key for this run, and choose what the DNS says of Ann's domain. None if the
        extra for it is not installed."""
        try:
            from ..adapters.cryptography_keys import PrivateKey  # noqa: PLC0415 - an extra
        except ImportError:
            return None
        key = PrivateKey.generate(Algorithm.ED25519_SHA256)
        self._records = {
            DOMAIN: f"v=spf1 ip4:{ADDRESS} -all",
            f"s1._domainkey.{DOMAIN}": key.record(),
            f"_dmarc.{DOMAIN}": "v=DMARC1; p=reject",
        }
        return DKIM(DOMAIN, selector="s1", key=key)

    def _add_hosts(self) -> None:
        internet, host = self._internet, "mx2.books.example"
        internet.mail_host("mx1.books.example").machine.faults.silent = True
        routes = {"books.example": internet.mailboxes(host)}
        inspect = None if self._key is None else Inspection(keys=keys())
        internet.mta(host, routes, receiver=_Greylisting, relay_from=(), inspect=inspect)
        internet.mail_host("mx.mail.example", Behaviour(unknown=["dave"]))
        internet.mail_host("mx.client.example")
        internet.domain("books.example", "mx1.books.example", "mx2.books.example")
        internet.domain("mail.example", "mx.mail.example")
        for name, text in self._records.items():
            internet.zone.records[name] = {Kind.TXT: [text.encode()]}
        its = {Kind.TXT: [self._records[DOMAIN].encode()]} if self._records else {}
        internet.zone.records[DOMAIN] = {Kind.MX: [MX(10, "mx.client.example")], **its}

    def tell(self) -> bool:
        """Tell the story. Return whether each check holds."""
        print(textwrap.fill(_INTRO, _WIDTH, break_on_hyphens=False))
        self._commentary.heading("Who takes mail", _DOMAINS)
        for domain, host, what in _HOSTS:
            print(f"  {domain:16}{host:20}{what}")
        if self._key is None:
            print(f"\n{_UNSIGNED}")
        self._internet.run(self._scenes())
        arrivals = self._internet.record.arrivals
        if self._key is not None:
            self._tell_who(arrivals)
        self._commentary.heading("Check of the mailboxes", _CHECK)
        return _check(arrivals, self._out, signed=self._key is not None)

    def _tell_who(self, arrivals: Sequence[Arrival]) -> None:
        """Print what Bob's host found out about the message, and from what."""
        self._commentary.heading("Who wrote it?", _WHO)
        for name, text in self._records.items():
            line = f"  {name:30}{text}"
            print(line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "...")
        print()
        for copy in _copies(arrivals):
            for line in copy.partition(b"Received:")[0].decode().splitlines():
                print(f"    | {line}")

    async def _scenes(self) -> None:
        internet, heading = self._internet, self._commentary.heading
        config = MTAConfig(hostname=AGENT, sign=self._key, on_event=self._print_event)
        machine = internet.host(ADDRESS)
        async with running(machine, config, MemoryQueue(), internet.zone) as mail:
            heading("The first attempts", _EVENTS)
            name = await mail.send(MESSAGE, Envelope(ANN, [BOB, DAVE]))
            await internet.sleep(90)
            heading("Where is the message now?", _EXPLAIN)
            await _explain(mail, name)
            heading("The sender is told", _REPORT)
            _show(_reports(internet.record.arrivals))
            heading("The second attempt", _LATER)
            await internet.sleep(900)
            print()
            await _explain(mail, name)
        await internet.until_delivered(days=1)

    def _print_event(self, event: QueueEvent) -> None:
        minutes, seconds = divmod(round(self._internet.utc() - self._began), 60)
        _print_wrapped(f"  {minutes}:{seconds:02} {event}")


class _Greylisting(Receiver):
    """Refuses all clients at first."""

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Verdict:
        left = EPOCH + _NEW - self.intake.runtime.utc()
        if left > 0:
            return Reply(451, "4.7.1", f"Greylisted, please try again in {left:.0f} seconds")
        return await super().rcpt(session, recipient, parameters)


async def _explain(mail: RunningMTA, name: str) -> None:
    """Print where the message *name* is."""
    for line in (await mail.explain(name) or "").splitlines():
        _print_wrapped(f"  {line}")


def _show(reports: Sequence[Report]) -> None:
    """Print what *reports* say to people."""
    for line in "\n".join(report.text for report in reports).splitlines():
        print(f"    | {line}".rstrip())


def _print_wrapped(line: str) -> None:
    """Print *line*, on several if it is too long for one."""
    indent = " " * (len(line) - len(line.lstrip()) + 5)
    print(textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False))


def _reports(arrivals: Sequence[Arrival]) -> list[Report]:
    """Return the reports that Ann's host has."""
    found = [read_report(it.content) for it in arrivals if it.host == "mx.client.example"]
    return [report for report in found if report is not None]


def _copies(arrivals: Sequence[Arrival]) -> list[bytes]:
    """Return what Bob's host has."""
    return [it.content for it in arrivals if it.host == "mx2.books.example"]


def _check(arrivals: Sequence[Arrival], out: Printer, *, signed: bool) -> bool:
    """Print each check of what arrived, and return whether all hold."""
    copies, reports = _copies(arrivals), _reports(arrivals)
    failed = [it.final_recipient.value for report in reports for it in report.recipients]
    same = len(copies) == 1 and copies[0].endswith(b"\r\n" + MESSAGE)
    checks = {
        "Bob has the message once, octet for octet as Ann sent it": same,
        "Ann has one report of a failure, which is about Dave": failed == [DAVE],
        "no host has any other mail": len(arrivals) == len(copies) + len(reports),
    }
    if signed:
        passed = all(b" %b=pass" % it in b"".join(copies) for it in (b"spf", b"dkim", b"dmarc"))
        checks["SPF, DKIM and DMARC pass at Bob's host"] = passed
    for what, holds in checks.items():
        out.line("  ", ("yes  ", Style.GOOD) if holds else ("NO   ", Style.BAD), what)
    passed = all(checks.values())
    out.line()
    count = f"{sum(checks.values())} of {len(checks)}"
    print_verdict(out, f"{count} checks of the mail agent hold.", passed=passed)
    return passed
