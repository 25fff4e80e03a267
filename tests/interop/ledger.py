"""Accounts of a mail agent that is killed: what clients were told, and what arrived."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters import blocking
from smtpproto.errors import SendRefused, SMTPError
from smtpproto.mta.report import read_report

SMALL, LARGE = 300, 200_000  # octets
_ENOUGH = 200  # recipients in the queue; with more of them it would take long to empty it
_SIZES = (SMALL, SMALL, 4_000, 20_000, LARGE)  # in rows, in segments, in files of their own
_SENDER = "ann@a.test"

Sent = tuple[int, str]  # the number of a message, and a recipient


class Ledger(Handler):
    """The next host, which writes down what arrives. Each life of the agent has a name of its own.

    It refuses recipients ``no-...`` for good, and each recipient ``later-...`` once for now.
    """

    def __init__(self) -> None:
        self.arrived: dict[Sent, list[str]] = defaultdict(list)
        """The lives of the agent in which a message was delivered."""
        self.reports: dict[Sent, list[tuple[str, str]]] = defaultdict(list)
        """The Message-IDs of reports of a failure, and the lives."""
        self.busy = False
        """Whether all recipients are refused for now."""
        self.accepted: set[Sent] = set()
        """What a client was told is in the queue."""
        self.refused: set[int] = set()
        """Messages that were refused, so that they must not arrive."""
        self._greylisted: set[ForwardPath] = set()

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        name = recipient.local_part or ""
        if self.busy:
            return Reply(451, "4.3.2", "Busy")
        if name.startswith("no-"):
            return Reply(550, "5.1.1", "No such mailbox")
        if name.startswith("later-") and recipient not in self._greylisted:
            self._greylisted.add(recipient)
            return Reply(450, "4.2.0", "Come back later")
        return None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        life = str(session.hello)
        if (report := read_report(body)) is not None:
            number = int(report.message_id.strip("<>").partition("@")[0])
            header = body.partition(b"\r\n\r\n")[0].decode()
            name = next(it for it in header.splitlines() if it.startswith("Message-ID:"))
            for about in report.recipients:
                self.reports[number, about.final_recipient.value].append((name, life))
            return
        _, _, rest = body.partition(b"\r\nMessage-ID: <")
        number = int(rest.partition(b"@")[0])
        assert rest.endswith(_filling(number)), f"message {number} was changed"
        for recipient in envelope.recipients:
            self.arrived[number, str(recipient)].append(life)

    # -- the account ---------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """About how many of those that were accepted are missing: it is quick."""
        return len(self.accepted) - len(self.arrived) - len(self.reports)

    @property
    def events(self) -> int:
        """How many recipients were accepted, and how many were delivered or reported."""
        return len(self.accepted) + len(self.arrived) + len(self.reports)

    def missing(self) -> list[Sent]:
        """Return what was accepted, and has neither arrived nor been reported."""
        return [it for it in self.accepted if it not in self._result_of(it)]

    def _result_of(self, sent: Sent) -> dict[Sent, list[str]] | dict[Sent, list[tuple[str, str]]]:
        return self.reports if sent[1].startswith("no-") else self.arrived

    def check(self) -> None:
        """Check that nothing arrived that should not, and nothing twice without need.

        A message arrives again only if the agent was killed after its delivery and before it
        could write that down: so never twice in the same life.
        """
        for sent, lives in self.arrived.items():
            assert not sent[1].startswith("no-")
            assert sent[0] not in self.refused, f"{sent} was refused, and arrived"
            assert max(Counter(lives).values()) == 1, f"{sent} arrived twice in one life: {lives}"
        for sent, reports in self.reports.items():
            assert sent[1].startswith("no-"), f"{sent} was reported failed: {reports}"
            assert len({name for name, _ in reports}) == 1, f"several reports of {sent}: {reports}"
            assert max(Counter(reports).values()) == 1, f"{sent} was reported twice: {reports}"


def _filling(number: int) -> bytes:
    line = b"%09d " % number * 7 + b"\r\n"
    return b"\r\n\r\n" + line * (_size(number) // len(line) + 1)


def _size(number: int) -> int:
    return _SIZES[number % len(_SIZES)]


def content_of(number: int) -> bytes:
    """Return the message with this number."""
    return b"From: Ann <ann@a.test>\r\nMessage-ID: <%d@a.test>" % number + _filling(number)


def recipients_of(number: int, dice: Random) -> list[str]:
    """Return from one to four recipients."""
    kinds = dice.choices(["bob", "later", "no"], [8, 2, 1], k=dice.choice([1, 1, 1, 2, 4]))
    return [f"{kind}-{number}-{place}@b.test" for place, kind in enumerate(kinds)]


class Account:
    """Sends messages to *port*, and writes what it is told into *ledger*."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port, self._ledger = port, ledger
        self._numbers = itertools.count(1)

    def send(self, size: int | None = None) -> None:
        """Send the next message, or the next of *size* octets, over a connection of its own.

        Raises SMTPError.
        """
        with self.client() as client:
            self.send_over(client, size)

    def client(self) -> contextlib.AbstractContextManager[blocking.Client]:
        """Connect."""
        return blocking.connect("127.0.0.1", self._port, tls="none")

    def send_over(self, client: blocking.Client, size: int | None = None) -> None:
        """Send it over *client*."""
        number = next(self._numbers)
        while size is not None and _size(number) != size:
            number = next(self._numbers)
        recipients = recipients_of(number, Random(number))
        try:
            outcome = client.send(content_of(number), Envelope(_SENDER, recipients))
        except SendRefused:
            self._ledger.refused.add(number)
            raise
        self._ledger.accepted.update((number, str(path)) for path in outcome.accepted)


@contextlib.contextmanager
def load(port: int, ledger: Ledger, threads: int = 4) -> Iterator[None]:
    """Send messages to *port*, from several threads, while the block runs."""
    account, stopped = Account(port, ledger), threading.Event()

    def work() -> None:
        while not stopped.is_set():
            with contextlib.suppress(SMTPError), account.client() as client:
                while not stopped.is_set() and ledger.waiting < _ENOUGH:
                    account.send_over(client)
            time.sleep(0.01)  # the agent is being started, or has enough to do

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stopped.set()
        for worker in workers:
            worker.join()
