"""Strategies for whole sessions: what a client sends, and what a server answers.

A *legal* session keeps to RFC 5321. A *faulty* one has commands out of order or malformed lines,
and it is known how a server answers them. A *hostile* one is damaged anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ...grammar.address import ForwardPath, ReversePath
from ...grammar.command import Mail
from ...grammar.domain import Host
from ...grammar.envelope import Envelope
from ...grammar.parameters import Body, MailParameters
from .addresses import forward_paths, hosts, reverse_paths
from .messages import messages
from .texts import kept
from .values import offers, replies


@frozen
class ClientSession:
    """What a client sends, and how a server answers that accepts all that it may accept."""

    turns: tuple[bytes, ...]
    """The octets, cut where a client waits that does not send commands in groups."""
    codes: tuple[str, ...] | None = None
    """How the code of each reply begins, the greeting first: ``"2"``, ``"354"``. None: it depends.
    """
    messages: tuple[tuple[Envelope, bytes], ...] = ()
    """What the server accepts: envelopes and contents."""

    @property
    def octets(self) -> bytes:
        """All that the client sends."""
        return b"".join(self.turns)

    def expects(self, codes: list[int]) -> bool:
        """Return whether *codes* are those of the replies, the greeting first."""
        expected = self.codes or ()
        return len(codes) == len(expected) and all(
            str(code).startswith(begin) for code, begin in zip(codes, expected, strict=True)
        )


# -- legal and faulty clients ---------------------------------------------------------------------

_STEPS = [*["next"] * 20, *["rcpt"] * 4, "chunk", "last chunk", "rset", "noop", "vrfy", "hello"]
_FAULTS = ["mail", "rcpt", "data", *["malformed"] * 3]
_NEXT = {"start": "hello", "ready": "mail", "mail": "rcpt", "rcpt": "data", "chunks": "last chunk"}
_WHEN = {
    "mail": {"ready"}, "rcpt": {"mail", "rcpt"}, "data": {"rcpt"}, "chunk": {"rcpt", "chunks"},
    "last chunk": {"rcpt", "chunks"},
}  # fmt: skip
"""The phases in which a step is legal; others always are (RFC 5321 4.1.4, RFC 3030 2)."""
_MALFORMED = [
    b"FOO", b"", b"EHLO", b"HELO", b"MAIL", b"MAIL FROM:ann",
    b"MAIL FROM:<a@b@c>", b"MAIL FROM:<> X=", b"RCPT TO:<>", b"RCPT TO:<a b@c>", b"RCPT FROM:<a@b>",
    b"DATA x", b"x" * 600, b"RSET\0", b"\xff\xfe", b"MAIL FROM:<\xc3\xbc@b>", b"QUIT now",
]  # fmt: skip


@define
class _Client:
    """Writes a session, and keeps a model of it."""

    host: Host
    sender: ReversePath
    recipients: list[ForwardPath]
    contents: list[bytes]
    phase: str = "start"
    turns: list[bytes] = field(factory=list)
    codes: list[str] = field(factory=lambda: ["220"])
    messages: list[tuple[Envelope, bytes]] = field(factory=list)
    accepted: list[ForwardPath] = field(factory=list)
    chunks: bytes = b""

    def take(self, step: str) -> None:
        """Take a step, unless it is not legal now."""
        step = _NEXT[self.phase] if step == "next" else step
        all_accepted = step == "rcpt" and len(self.accepted) == len(self.recipients)
        if self.phase not in _WHEN.get(step, {self.phase}) or all_accepted:
            return
        self._send(self._line(step), "354" if step == "data" else "2")
        if step == "rcpt":
            self.accepted.append(self.recipients[len(self.accepted)])
        elif step == "data":
            stuffed = (b"\r\n" + self.content).replace(b"\r\n.", b"\r\n..")[2:]
            self._send(stuffed + b".\r\n", "250")
        if step in ("chunk", "last chunk", "data"):
            self.chunks += self.content
        if step in ("data", "last chunk"):
            envelope = Envelope(self.sender, self.accepted, self._parameters)
            self.messages.append((envelope, self.chunks))
        self._move(step)

    def _move(self, step: str) -> None:
        if step in ("mail", "rcpt"):
            self.phase = step
        elif step == "chunk":
            self.phase = "chunks"
        elif step not in ("noop", "vrfy"):
            self.phase = "start" if step == "rset" and self.phase == "start" else "ready"
            self.accepted, self.chunks = [], b""

    def fail(self, step: str, number: int) -> None:
        """Take a step that is not legal, which a server refuses without other consequences."""
        if step == "malformed":
            self._send(_MALFORMED[number % len(_MALFORMED)] + b"\r\n", "5")
        elif self.phase not in _WHEN[step]:
            self._send(self._line(step), "503")

    def end(self) -> ClientSession:
        self._send(b"QUIT\r\n", "221")
        return ClientSession(tuple(self.turns), tuple(self.codes), tuple(self.messages))

    @property
    def content(self) -> bytes:
        return self.contents[len(self.messages) % len(self.contents)]

    @property
    def _parameters(self) -> MailParameters:
        ascii_only = all(map(bytes.isascii, self.contents))
        return MailParameters(body=None if ascii_only else Body.EIGHT_BIT_MIME)

    def _send(self, octets: bytes, code: str) -> None:
        self.turns.append(octets)
        self.codes.append(code)

    def _line(self, step: str) -> bytes:
        match step:
            case "hello":
                return b"EHLO %b\r\n" % bytes(self.host)
            case "mail":
                return bytes(Mail(self.sender, self._parameters)) + b"\r\n"
            case "rcpt":
                number = len(self.accepted) % len(self.recipients)
                return b"RCPT TO:%b\r\n" % bytes(self.recipients[number])
            case "vrfy":
                return b"VRFY ann\r\n"
            case "chunk" | "last chunk":
                last = b" LAST" if step == "last chunk" else b""
                return b"BDAT %d%b\r\n%b" % (len(self.content), last, self.content)
        return step.upper().encode() + b"\r\n"


@kept
@st.composite
def _clients(draw: DrawFn, faults: int) -> ClientSession:
    recipients = draw(st.lists(forward_paths(), min_size=1, max_size=3))
    contents = draw(st.lists(messages(), min_size=1, max_size=2))
    client = _Client(
        draw(hosts()), draw(reverse_paths()), list(dict.fromkeys(recipients)), contents
    )
    numbers = draw(st.binary(min_size=8, max_size=40))
    for at, number in enumerate(numbers):
        if number >= 0xE0 and faults:
            faults -= 1
            client.fail(_FAULTS[number % len(_FAULTS)], at)
        client.take(_STEPS[number % len(_STEPS)])
    return client.end()


def legal_clients() -> SearchStrategy[ClientSession]:
    """Sessions of clients that keep to RFC 5321 and RFC 3030: EHLO, transactions with DATA or BDAT,
    which may be given up, NOOP, VRFY, and QUIT."""
    return _clients(0)


def faulty_clients(*, faults: int = 3) -> SearchStrategy[ClientSession]:
    """Sessions as of :func:`legal_clients`, with up to *faults* commands out of order and malformed
    lines in them, which a server refuses without other consequences."""
    return _clients(faults)


# -- hostile sessions -----------------------------------------------------------------------------

_FRAGMENTS = [
    *(bytes([octet]) for octet in b"\0\t\n\r \"+,-.:;<=>@[\\]\x7f\x80\xff"),
    b"\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\n", b"\r\n\0.\r\n", b"\r\r\n",
    b"\r\nQUIT\r\n", b"\r\nRSET\r\n", b"\r\nDATA\r\n", b"\r\nSTARTTLS\r\n", b"\r\nAUTH PLAIN =\r\n",
    b"\r\nBDAT 99999999999999999999\r\n", b"\r\nBDAT -1\r\n", b"\r\nBDAT 3 LAST\r\n", b"BDAT 0\r\n",
    b"\r\nMAIL FROM:<>\r\n", b"\r\nRCPT TO:<eve@evil.test>\r\n", b"\r\nXCLIENT NAME=a\r\n",
    b"\r\nGET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\0\x01", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"a" * 600, b"9" * 21, b"%s%n", b"\xc0\xae", b"\xed\xa0\x80", b"250 ok\r\n", b"250-", b"421 ",
]  # fmt: skip


def _damage(octets: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, size, fragment in edits:
        start = at % (len(octets) + 1)
        octets = octets[:start] + fragment + octets[start + size :]
    return octets


@kept
def _edits() -> SearchStrategy[list[tuple[int, int, bytes]]]:
    fragments = st.sampled_from(_FRAGMENTS) | st.binary(max_size=20)
    return st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 3), fragments), max_size=4)


@kept
def hostile_clients() -> SearchStrategy[ClientSession]:
    """Sessions with damage anywhere: stray ends of lines and of messages, other protocols, long
    lines, false sizes."""
    return st.builds(
        lambda session, edits: ClientSession((_damage(session.octets, edits),)),
        faulty_clients(),
        _edits(),
    )


# -- servers --------------------------------------------------------------------------------------


@frozen
class ServerSession:
    """How a server answers a client, and which recipients it accepts a message for."""

    answers: Mapping[str, tuple[bytes, ...]]
    """The octets of the replies by verb; to RCPT there is one for each recipient. ``""`` is the
    greeting, ``"."`` the reply to the end of a content, also to BDAT LAST."""
    accepted: tuple[bool, ...] | None = None
    """For each recipient, whether the server accepts the message. None: it depends."""


_STEPS_TO_ACCEPT = ["", "EHLO", "MAIL", "RCPT", "DATA", "."]
_CODES = dict(zip(_STEPS_TO_ACCEPT, [220, 250, 250, 250, 354, 250], strict=True))
_REFUSALS = [450, 451, 452, 455, 500, 501, 503, 550, 552, 553, 554, 555]


def _reply(code: int, lines: Sequence[str]) -> bytes:
    marks = [*"-" * (len(lines) - 1), " "]
    return "".join(f"{code}{m}{line}\r\n" for m, line in zip(marks, lines, strict=True)).encode()


@kept
@st.composite
def _servers(draw: DrawFn, recipients: int, any_codes: bool) -> ServerSession:
    lines, offer = draw(replies(st.just(250))).lines, draw(offers()).without("SIZE", "LIMITS")
    refusal, refused = draw(st.sampled_from(_REFUSALS)), draw(_REFUSED)
    wanted = draw(st.integers(0, 2**recipients - 1))
    more = draw(st.integers(0, 39)) if any_codes else 0  # the first digit is what counts

    codes = {step: code + more for step, code in _CODES.items()}
    codes |= dict.fromkeys(_STEPS_TO_ACCEPT[len(_STEPS_TO_ACCEPT) - refused :], 503)
    rcpts = [codes["RCPT"] if wanted >> n & 1 else refusal for n in range(recipients)]
    if min(rcpts) >= 400:
        codes |= {"DATA": 503, ".": 503}
    if refused:
        codes[_STEPS_TO_ACCEPT[-refused]] = refusal
    codes |= {"HELO": codes["EHLO"], "BDAT": codes["DATA"] if codes["DATA"] >= 400 else 250 + more}
    codes |= {"RSET": 250 + more, "NOOP": 250 + more, "QUIT": 221 + more}
    answers: dict[str, tuple[bytes, ...]]
    answers = {step: (_reply(code, lines),) for step, code in codes.items()}
    answers["EHLO"] = (_reply(codes["EHLO"], [lines[0], *offer.lines()]),)
    answers["RCPT"] = tuple(_reply(code, lines) for code in rcpts)
    return ServerSession(answers, tuple(code < 400 and not refused for code in rcpts))


_REFUSED = st.sampled_from([*[0] * len(_STEPS_TO_ACCEPT), *range(1, len(_STEPS_TO_ACCEPT) + 1)])
"""How many steps a server refuses, from the last one back; often none."""


def legal_servers(*, recipients: int = 2) -> SearchStrategy[ServerSession]:
    """Servers that offer any extensions but limits, and accept a message, or refuse a step on the
    way to it or some of its recipients, by the codes and with the texts of RFC 5321 4.2 and 4.3."""
    return _servers(recipients, False)


def faulty_servers(*, recipients: int = 2) -> SearchStrategy[ServerSession]:
    """Servers as of :func:`legal_servers`, whose codes need not be known. A client judges them by
    their first digit (RFC 5321 4.2.1, 4.3.2)."""
    return _servers(recipients, True)


@kept
def hostile_servers(*, recipients: int = 2) -> SearchStrategy[ServerSession]:
    """Servers whose replies are damaged anywhere."""

    def damage(session: ServerSession, edits: list[tuple[int, int, bytes]]) -> ServerSession:
        answers = {verb: list(replies) for verb, replies in session.answers.items()}
        for number, edit in enumerate(edits):
            verb = [*answers][edit[0] % len(answers)]
            at = number % len(answers[verb])
            answers[verb][at] = _damage(answers[verb][at], [edit])
        return ServerSession({verb: tuple(replies) for verb, replies in answers.items()})

    return st.builds(damage, faulty_servers(recipients=recipients), _edits())
