"""A server's newer hooks: names, verbs of one's own, LMTP, chunks, trusted peers."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Self

import pytest
import trustme
from attrs import define, field, frozen

from smtpproto import (
    Body,
    ClientConfig,
    ConnectionLost,
    Credentials,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    LocalProtocolError,
    Mailbox,
    MailParameters,
    NotOffered,
    RcptParameters,
    Reply,
    ReversePath,
    Secret,
    SendRefused,
    ServerConfig,
    Session,
    Sink,
    TimedOut,
)
from smtpproto.adapters.blocking import World, run
from smtpproto.grammar.command import Command, Ehlo, Text
from smtpproto.grammar.extended import XClient, XForward
from smtpproto.grammar.reading import Reading
from smtpproto.grammar.xclient import XClientAttributes, XForwardAttributes
from smtpproto.limits import Leniencies, Tolerance
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb
from smtpproto.session.client import open_client
from smtpproto.session.handler import Names, Verdict
from smtpproto.session.server import Conversation
from smtpproto.testing.simulation import Simulation
from smtpproto.wire.proxy import ProxyHeader

PEER = "192.0.2.1"


@define(eq=False)
class Feed:
    """A client that says *pieces*, each when it is asked for more, and then hangs up."""

    pieces: list[bytes | Exception]
    written: list[bytes] = field(factory=list)
    waits: list[float | None] = field(factory=list)
    interrupted: bool = False
    closed: bool = False
    peername: tuple[str, int] = (PEER, 4711)
    sockname: tuple[str, int] = ("192.0.2.2", 25)

    async def read(self, timeout: float | None) -> bytes:
        self.waits.append(timeout)
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written.append(data)

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.interrupted = True
        self.pieces.clear()

    @property
    def said(self) -> list[str]:
        return b"".join(self.written).decode().split("\r\n")[:-1]


def octets(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def serve(handler: Handler, *pieces: bytes | Exception, config: ServerConfig | None = None) -> Feed:
    """All of a connection."""
    stream = Feed(list(pieces))
    run(Conversation(stream, handler, config or ServerConfig(), World()).run())
    assert stream.closed
    return stream


def replies(
    handler: Handler, *lines: str, config: ServerConfig | None = None, hello: str = "EHLO"
) -> list[str]:
    """What is answered to *lines* behind the hello."""
    feed = serve(handler, octets(f"{hello} client.example", *lines), config=config)
    last = next(number for number, line in enumerate(feed.said) if line.startswith("250 "))
    return feed.said[last + 1 :]


def keywords(handler: Handler, config: ServerConfig | None = None, hello: str = "EHLO") -> set[str]:
    feed = serve(handler, octets(f"{hello} client.example"), config=config)
    return {line[4:] for line in feed.said[2:]}


# -- names ---------------------------------------------------------------------------------------

BOB, ANN = Mailbox("bob", "example.org"), Mailbox("ann smith", "example.org")
UTF8 = Mailbox("bøb", "bücher.example")


@define(eq=False)
class Directory(Handler):
    """Gives what *names* have; an exception is raised."""

    names: dict[str, Any]
    asked: list[str] = field(factory=list)
    users: list[str | None] = field(factory=list)

    def verify(self, session: Session, name: str) -> Names:
        return self._find(session, name)

    async def expand(self, session: Session, name: str) -> Names:
        return self._find(session, name)

    def _find(self, session: Session, name: str) -> Names:
        self.asked.append(name)
        self.users.append(session.user)
        found: Names = self.names.get(name, Reply(550, "5.1.1", "No such name"))
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.req(
    "RFC5321-3.5.1-01", "RFC5321-3.5.1-02", "RFC5321-3.5.1-04", "RFC5321-3.5.2-02",
    "RFC5321-3.5.2-03", "RFC5321-3.5.2-09",
)  # fmt: skip
@pytest.mark.parametrize("verb", ["VRFY", "EXPN"])
def test_mailboxes_are_told_one_a_line_in_brackets(verb: str) -> None:
    handler = Directory({"bob": BOB, "staff": (BOB, ANN), "all": iter([BOB])})
    said = replies(handler, f"{verb} bob", f"{verb} staff", f"{verb} all", f"{verb} carl")
    assert said == [
        "250 2.1.5 <bob@example.org>",
        "250-2.1.5 <bob@example.org>",
        '250 2.1.5 <"ann smith"@example.org>',
        "250 2.1.5 <bob@example.org>",
        "550 5.1.1 No such name",
    ]
    for line in said[:-1]:
        assert Mailbox.parse(line.partition("<")[2].rstrip(">")) in (BOB, ANN)


@pytest.mark.req("RFC5321-3.5.1-06", "RFC5321-3.5.1-07")
def test_a_name_comes_as_it_was_said() -> None:
    handler = Directory({})
    replies(handler, "VRFY bob", "VRFY bob@example.org", 'VRFY "Bob Smith" <bob@x>', "EXPN staff")
    assert handler.asked == ["bob", "bob@example.org", '"Bob Smith" <bob@x>', "staff"]


@pytest.mark.req("RFC5321-3.5.2-01", "RFC5321-3.5.2-04", "RFC5321-3.5.2-10")
@pytest.mark.parametrize(
    "found",
    [
        "bob@example.org",
        [],
        [BOB, "carl"],
        ["|/bin/delivery"],
        ["@a.example:bob@example.org"],
        [ForwardPath(None)],
        7,
        LookupError("x"),
    ],
    ids=str,
)
def test_nothing_but_mailboxes_is_told(found: object) -> None:
    for verb in ("VRFY", "EXPN"):
        said = replies(Directory({"bob": found}), f"{verb} bob", "NOOP")
        assert said == ["451 4.3.0 Local error in processing", "250 2.0.0 OK"]


@pytest.mark.req("RFC5321-3.5.3-01", "RFC5321-3.5.3-02", "RFC5321-7.3-01", "RFC5321-7.3-02")
def test_without_hooks_nothing_is_told() -> None:
    verify = "252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery"
    said = replies(Handler(), "VRFY bob", "VRFY nobody@example.org", "EXPN staff")
    assert said == [verify, verify, "502 5.5.1 Command not implemented"]

    class Silent(Directory):
        def _find(self, session: Session, name: str) -> Names:
            return None

    assert replies(Silent({}), "VRFY bob", "VRFY carl") == [verify, verify]


@pytest.mark.req("RFC5321-3.5.2-06", "RFC5321-7.3-04")
def test_expn_and_etrn_are_offered_where_they_are_defined() -> None:
    class Queues(Handler):
        def etrn(self, session: Session, node: str) -> Reply:
            return Reply(250, "2.0.0", f"Queue for {node} started")

    assert "EXPN" in keywords(Directory({})) and "EXPN" not in keywords(Handler())
    assert "ETRN" in keywords(Queues()) and "ETRN" not in keywords(Directory({}))
    assert replies(Queues(), "ETRN example.org", "ETRN #night") == [
        "250 2.0.0 Queue for example.org started",
        "250 2.0.0 Queue for #night started",
    ]
    assert replies(Handler(), "ETRN example.org") == ["502 5.5.1 Command not implemented"]
    refused = replies(Queues(), "ETRN example.org", hello="HELO")
    assert refused == ["503 5.5.1 Send EHLO first"]


@pytest.mark.req("RFC6531-3.7.4.2-02", "RFC6531-3.7.4.2-07")
@pytest.mark.parametrize("verb", ["VRFY", "EXPN"])
def test_names_that_are_not_ascii_are_told_to_who_asks_for_utf8(verb: str) -> None:
    handler = Directory({"bob": UTF8, "moved": Reply(551, "5.1.6", "Try <bøb@b.example>")})
    said = replies(handler, f"{verb} bob SMTPUTF8", f"{verb} bob", f"{verb} moved")
    assert said == [
        "250 2.1.5 <bøb@bücher.example>",
        "252 2.6.8 The name needs SMTPUTF8 to be shown",
        "550 5.6.8 The reply needs SMTPUTF8 to be shown",
    ]
    assert handler.asked == ["bob", "bob", "moved"]


@pytest.mark.req("RFC5321-4.1.1.6-01", "RFC5321-4.1.1.7-01", "RFC5321-4.1.1.8-03")
def test_questions_leave_the_transaction_as_it_is() -> None:
    for line in ("VRFY bob", "EXPN bob", "HELP", "HELP MAIL", "NOOP"):
        said = replies(
            Directory({"bob": BOB}), "MAIL FROM:<>", line, "RCPT TO:<bob@example.org>", line, "DATA"
        )
        assert [code[:3] for code in said] == ["250", said[1][:3], "250", said[1][:3], "354"]


def test_help() -> None:
    class Helpful(Handler):
        async def help(self, session: Session, topic: str) -> Reply:
            if topic == "trouble":
                raise LookupError("no book")
            return Reply(214, "2.0.0", f"About {topic or 'everything'}")

    assert replies(Helpful(), "HELP", "help  MAIL", "HELP trouble") == [
        "214 2.0.0 About everything",
        "214 2.0.0 About MAIL",
        "451 4.3.0 Local error in processing",
    ]
    assert replies(Handler(), "HELP MAIL")[0].startswith("214 2.0.0 Commands: EHLO")


@pytest.mark.req("RFC6531-3.7.4.2-03", "RFC6531-3.7.4.2-04")
def test_a_client_asks_for_names() -> None:
    simulation = Simulation(1)
    simulation.listen(25, Directory({"bob": UTF8, "staff": [BOB, UTF8]}), ServerConfig())
    plain = ServerConfig(extensions={"SMTPUTF8": None})
    simulation.listen(26, Directory({"bob": BOB}), plain)

    async def client() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as one:
            assert (await one.verify("bob", smtputf8=True)).text == "<bøb@bücher.example>"
            assert (await one.verify("bob")).code == 252
            lines = (await one.expand("staff", smtputf8=True)).lines
            assert lines == ("<bob@example.org>", "<bøb@bücher.example>")
            assert (await one.expand("nobody")).code == 550
            assert (await one.help()).code == 214
            with pytest.raises(NotOffered, match="ETRN"):
                await one.etrn("example.org")
        async with await open_client(simulation, "mx", 26, ClientConfig()) as other:
            with pytest.raises(NotOffered, match="SMTPUTF8"):
                await other.verify("bob", smtputf8=True)
            assert (await other.verify("bob")).text == "<bob@example.org>"

    simulation.run(client())


# -- verbs of one's own --------------------------------------------------------------------------


@frozen
class XEcho(Text):
    """``XECHO text``."""

    verb = "XECHO"


@frozen
class XCount(Command):
    """``XCOUNT number``."""

    verb = "XCOUNT"
    number: int = 0

    @classmethod
    def read(cls, argument: str, reading: Reading) -> Self:
        return cls(int(argument))

    def argument(self) -> str:
        return str(self.number)


class Echo(Handler):
    async def command(self, session: Session, command: Command) -> Verdict:
        match command:
            case XEcho("default"):
                return None
            case XEcho("fail"):
                raise RuntimeError("no echo")
            case XEcho(text):
                return Reply(250, "2.0.0", text)
            case XCount(number):
                return Reply(299, "2.0.0", str(number + 1))
        raise AssertionError(command)


OWN = (
    Verb.own(XEcho),
    Verb.own(XCount, usual=Reply(299), yes={299}, phases={Phase.READY}, keyword="XNUMBERS"),
)


def test_verbs_of_ones_own_end_to_end() -> None:
    simulation = Simulation(1)
    simulation.listen(25, Echo(), ServerConfig(verbs=OWN))
    simulation.listen(26, Echo(), ServerConfig())

    async def talk() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig(verbs=OWN)) as client:
            assert {"XECHO", "XNUMBERS"} <= set(client.extensions)
            assert await client.command(XEcho("hello")) == Reply(250, "2.0.0", "hello")
            assert (await client.command(XEcho("default"))).code == 502
            assert (await client.command(XEcho("fail"))).code == 451
            assert (await client.command(XCount(41))).text == "42"
        async with await open_client(simulation, "mx", 26, ClientConfig(verbs=OWN)) as client:
            with pytest.raises(NotOffered, match="XECHO"):
                await client.command(XEcho("hello"))
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            with pytest.raises(LocalProtocolError, match="not a verb"):
                await client.command(XEcho("hello"))
            with pytest.raises(LocalProtocolError, match="connect, send and login"):
                await client.command(Ehlo("again.example"))

    simulation.run(talk())


def test_verbs_of_ones_own_have_their_place() -> None:
    config = ServerConfig(verbs=OWN)
    feed = serve(Echo(), octets("XECHO early", "HELO client.example", "XECHO x"), config=config)
    assert [line[:3] for line in feed.said[1:]] == ["503", "250", "503"]  # HELO negotiates nothing
    said = replies(Echo(), "MAIL FROM:<>", "XECHO in", "XCOUNT 1", "RCPT TO:<a@b>", config=config)
    assert [line[:3] for line in said] == ["250", "250", "503", "250"]
    assert replies(Echo(), "XECHO hi")[0].startswith("500")
    with pytest.raises(ValueError, match="MAIL is taken"):
        Conversation(Feed([]), Handler(), ServerConfig(verbs=(Verb.own(XTaken),)), World())


@frozen
class XTaken(Command):
    verb = "MAIL"


# -- LMTP ----------------------------------------------------------------------------------------

LMTP = ServerConfig(lmtp=True)
THREE = [
    "MAIL FROM:<ann@example.org>",
    *(f"RCPT TO:<{name}@example.org>" for name in "abc"),
    "DATA",
    "hi",
    ".",
]


@define(eq=False)
class Post(Handler):
    """Answers the message with what *verdicts* gives; refuses b if told so."""

    verdicts: Callable[[], Any]
    picky: bool = False
    bodies: list[bytes] = field(factory=list)

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        assert session.lmtp
        no = self.picky and recipient.local_part == "b"
        return Reply(550, "5.1.1", "No such user") if no else None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        self.bodies.append(body)
        return self.verdicts()


FULL = Reply(452, "4.2.2", "Full")


async def _stream(verdicts: Iterable[Verdict]) -> AsyncIterator[Verdict]:
    for verdict in verdicts:
        yield verdict


async def _later(verdicts: object) -> object:
    return verdicts


@pytest.mark.req("RFC2033-4.2-02", "RFC2033-5-09")
@pytest.mark.parametrize(
    ("verdicts", "codes"),
    [
        (lambda: None, "250 250 250"),
        (lambda: FULL, "452 452 452"),
        (lambda: [None, FULL, None], "250 452 250"),
        (lambda: (Reply(250, None, "kept"), FULL, FULL), "250 452 452"),
        (lambda: iter([FULL, None, None]), "452 250 250"),
        (lambda: _stream([None, FULL, None]), "250 452 250"),
        (lambda: _later([None, FULL, None]), "250 452 250"),
        (lambda: [None], "250 451 451"),
        (lambda: _stream([None, FULL]), "250 452 451"),
        (tuple, "451 451 451"),
        (lambda: [None] * 4, "250 250 250"),
        (lambda: _stream([None] * 4), "250 250 250"),
        (lambda: [None, Reply(354, None, "x"), None], "250 451 250"),
        (lambda: [None, "nonsense", None], "250 451 250"),
        (lambda: 7, "451 451 451"),
    ],
)
def test_lmtp_verdicts(verdicts: Callable[[], object], codes: str) -> None:
    said = replies(Post(verdicts), *THREE, "NOOP", config=LMTP, hello="LHLO")
    assert [line[:3] for line in said[5:-1]] == codes.split()
    assert all(line[4:6] in ("2.", "4.") for line in said[5:])
    assert said[-1] == "250 2.0.0 OK"


@pytest.mark.req("RFC2033-4.2-02")
def test_lmtp_answers_for_those_accepted_and_in_their_order() -> None:
    handler = Post(lambda: [None, FULL], picky=True)
    said = replies(handler, *THREE, "QUIT", config=LMTP, hello="LHLO")
    assert [line[:3] for line in said] == ["250", "250", "550", "250", "354", "250", "452", "221"]
    twice = [*THREE[:2], THREE[1], *THREE[4:]]
    said = replies(Post(lambda: None), *twice, config=LMTP, hello="LHLO")
    assert [line[:3] for line in said[4:]] == ["250", "250"]


@pytest.mark.req("RFC2033-4.2-01")
def test_lmtp_data_without_recipients() -> None:
    handler = Post(lambda: None, picky=True)
    said = replies(
        handler, "MAIL FROM:<>", "RCPT TO:<b@example.org>", "DATA", config=LMTP, hello="LHLO"
    )
    assert [line[:3] for line in said] == ["250", "550", "503"]


@pytest.mark.req("RFC2033-4.2-03", "RFC2033-5-05", "RFC2033-5-10")
def test_lmtp_verdicts_leave_one_by_one() -> None:
    """Each reply is out before the next recipient's is asked for, and not before its own is."""
    seen: list[int] = []
    stream = Feed([octets("LHLO client.example", *THREE)])

    async def one_by_one() -> AsyncIterator[Verdict]:
        for verdict in (None, FULL, None):
            seen.append(len([line for line in stream.said if line[4:].startswith(("2.0", "4.2"))]))
            yield verdict

    run(Conversation(stream, Post(one_by_one), LMTP, World()).run())
    assert seen == [0, 1, 2]
    assert stream.written[-3:] == [
        b"250 2.0.0 Message accepted\r\n",
        b"452 4.2.2 Full\r\n",
        b"250 2.0.0 Message accepted\r\n",
    ]


@pytest.mark.parametrize("count", [2, 4])
def test_lmtp_a_generator_is_closed_however_it_ends(count: int) -> None:
    ends = []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            for _ in range(count):
                yield None
            if count < 3:
                raise LookupError("no more")
        finally:
            ends.append("closed")

    said = replies(Post(verdicts), *THREE, config=LMTP, hello="LHLO")
    assert [line[:3] for line in said[5:]] == ["250", "250", "451" if count < 3 else "250"]
    assert ends == ["closed"]


def test_lmtp_a_generator_that_is_left_early_is_closed_at_once() -> None:
    """Also if its end takes time, which only a loop that waits for it can give."""
    simulation, ends = Simulation(1), []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            yield None
            yield None
        finally:
            await simulation.wait(lambda: False, 1)
            ends.append("closed")

    simulation.listen(24, Post(verdicts), LMTP)

    async def talk() -> None:
        async with await open_client(simulation, "mx", 24, ClientConfig(lmtp=True)) as client:
            await client.send(b"hi\n", Envelope("", "bob@example.org"))
            await client.noop()
            assert ends == ["closed"]

    simulation.run(talk())


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
def test_lmtp_by_chunks() -> None:
    start = THREE[:4]
    said = replies(
        Post(lambda: [None, FULL, None]), *start, "BDAT 4", "hi", "BDAT 0 LAST", "NOOP",
        config=LMTP, hello="LHLO",
    )  # fmt: skip
    assert [line[:3] for line in said[4:]] == ["250", "250", "452", "250", "250"]


@pytest.mark.req("RFC2033-4.1-01", "RFC2033-4.1-02", "RFC2033-4.1-03", "RFC2033-5-02",
                 "RFC2033-5-03", "RFC9422-4-02")  # fmt: skip
def test_lmtp_has_lhlo_and_no_ehlo() -> None:
    offered = keywords(Handler(), LMTP, hello="LHLO")
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= offered
    assert "LIMITS RCPTMAX=1000" in offered
    feed = serve(Handler(), octets("EHLO x", "HELO x", "MAIL FROM:<>"), config=LMTP)
    assert [line[:3] for line in feed.said[1:]] == ["500", "500", "503"]
    assert serve(Handler(), octets("LHLO x")).said[1][:3] == "500"


def test_smtp_takes_one_verdict_only() -> None:
    class Wrong(Handler):
        def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
            return [None, None]

    said = replies(Wrong(), "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA", "hi", ".", "NOOP")
    assert [line[:3] for line in said] == ["250", "250", "354", "451", "250"]


# -- chunks --------------------------------------------------------------------------------------


@define(eq=False)
class Sinks(Handler):
    """Each message has a sink that writes down what becomes of it; fails where it is told to."""

    fail_at: str = ""
    refusal: Reply | None = None
    calls: list[str] = field(factory=list)
    parameters: list[MailParameters] = field(factory=list)
    contents: list[bytes] = field(factory=list)

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self.parameters.append(parameters)
        return None

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if self.refusal is not None:
            return self.refusal
        self._called("open")
        self.contents.append(b"")
        return self

    def write(self, data: bytes) -> None:
        self._called("write")
        self.contents[-1] += data

    async def commit(self) -> Verdict:
        self._called("commit")
        return None

    def abort(self) -> None:
        self._called("abort")

    def reset(self, session: Session) -> None:
        self.calls.append("reset")

    def _called(self, name: str) -> None:
        if name != "write" or self.calls[-1:] != ["write"]:
            self.calls.append(name)
        if name == self.fail_at:
            raise OSError("disk full")


TO_BOB = ("MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>")
ONE, TWO, END = ("BDAT 5", "one"), ("BDAT 5", "two"), ("BDAT 3 LAST", "3")


@pytest.mark.req("RFC3030-2-06", "RFC3030-2-02", "RFC3030-2-08")
def test_a_message_in_chunks_has_one_sink() -> None:
    handler = Sinks()
    said = replies(
        handler, *TO_BOB, *ONE, *TWO, *END, "BDAT 3 LAST", "x", *TO_BOB, "DATA", "x", "."
    )
    codes = ["250"] * 5 + ["503", "250", "250", "354", "250"]
    assert [line[:3] for line in said] == codes
    assert handler.contents == [b"one\r\ntwo\r\n3\r\n", b"x\r\n"]
    assert handler.calls == ["open", "write", "commit"] * 2


@pytest.mark.req("RFC3030-2-05")
def test_octets_of_a_chunk_are_what_they_are() -> None:
    handler = Sinks()
    said = replies(handler, *TO_BOB, "BDAT 15 LAST", ".", "QUIT", "..", ".", "NOOP")
    assert handler.contents == [b".\r\nQUIT\r\n..\r\n.\r"]
    assert said[2][:3] == "250" and said[3].startswith("500")  # the LF that was not announced


@pytest.mark.req("RFC3030-3-04")
def test_binary_content_is_kept_octet_by_octet() -> None:
    handler, body = Sinks(), bytes(range(256)) * 3
    config = ServerConfig(extensions={"BINARYMIME": ""})
    start = octets("EHLO x", TO_BOB[0] + " BODY=BINARYMIME", TO_BOB[1])
    feed = serve(handler, start + b"BDAT 768 LAST\r\n" + body + b"NOOP\r\n", config=config)
    assert feed.said[-2:] == ["250 2.0.0 Message accepted", "250 2.0.0 OK"]
    assert handler.contents == [body]
    assert handler.parameters[0].body is Body.BINARY_MIME


@pytest.mark.req("RFC3030-3-06", "RFC3030-3-01")
def test_binary_content_is_not_for_data() -> None:
    config = ServerConfig(extensions={"BINARYMIME": ""})
    start = (TO_BOB[0] + " BODY=BINARYMIME", TO_BOB[1])
    said = replies(Sinks(), *start, "DATA", "RSET", config=config)
    assert [line[:9] for line in said[2:]] == ["503 5.5.1", "250 2.0.0"]
    alone = ServerConfig(extensions={"BINARYMIME": "", "CHUNKING": None})
    with pytest.raises(ValueError, match="BINARYMIME"):
        Conversation(Feed([]), Sinks(), alone, World())


@pytest.mark.req("RFC3030-2-15", "RFC3030-2-19")
def test_chunks_without_a_transaction_are_read_and_refused() -> None:
    class Nobody(Sinks):
        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Verdict:
            return Reply(550, "5.1.1", "No such user")

    said = replies(Sinks(), *TO_BOB, "DATA", "x", ".", "BDAT 6 LAST", "QUIT", "NOOP")
    assert [line[:3] for line in said[3:]] == ["250", "503", "250"]
    handler = Nobody()
    said = replies(handler, *TO_BOB, "BDAT 6 LAST", "QUIT", "NOOP")
    assert [line[:3] for line in said] == ["250", "550", "503", "250"]
    assert handler.calls == []


@pytest.mark.req("RFC3030-2-13")
@pytest.mark.parametrize("reset", ["RSET", "EHLO client.example", "HELO client.example"])
def test_a_reset_between_chunks_throws_them_away(reset: str) -> None:
    handler = Sinks()
    replies(handler, *TO_BOB, *ONE, reset, *TO_BOB, "DATA", "two", ".")
    assert handler.contents == [b"one\r\n", b"two\r\n"]
    assert handler.calls == ["open", "write", "abort", "reset", "open", "write", "commit"]


@pytest.mark.parametrize(
    "end",
    [
        (),
        (ConnectionLost("gone"),),
        (TimedOut("silent"),),
        (octets("QUIT"),),
        (octets("BDAT x"),),
    ],
    ids=str,
)
def test_chunks_that_nothing_follows_are_thrown_away(end: tuple[bytes | Exception, ...]) -> None:
    handler = Sinks()
    serve(handler, octets("EHLO x", *TO_BOB, *ONE), *end)
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.parametrize("end", [(), (ConnectionLost("gone"),), (TimedOut("silent"),)], ids=str)
def test_a_chunk_that_breaks_off_is_thrown_away(end: tuple[Exception, ...]) -> None:
    handler = Sinks()
    serve(handler, octets("EHLO x", *TO_BOB, "BDAT 9", "on"), *end)
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.req("RFC3030-2-14")
def test_what_is_out_of_order_between_chunks_changes_nothing() -> None:
    handler = Sinks()
    between = ["FOO", "MAIL FROM:<>", "RCPT TO:<x@y.example>", "DATA", "NOOP", "VRFY x", "AUTH x"]
    said = replies(handler, *TO_BOB, *ONE, *between, *END)
    assert [line[:3] for line in said[3:-1]] == ["500", "503", "503", "503", "250", "252", "502"]
    assert said[-1] == "250 2.0.0 Message accepted"
    assert handler.calls == ["open", "write", "commit"]
    assert replies(handler, *TO_BOB, *ONE, "DATA", "RSET")[3:] == [
        "503 5.5.1 BDAT chunks are open; send BDAT or RSET",
        "250 2.0.0 OK",
    ]


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("fail_at", ["open", "write"])
def test_a_sink_that_fails_in_a_chunk(fail_at: str) -> None:
    """The chunk is read to its end and refused, and so is each that was on its way."""
    handler = Sinks(fail_at)
    said = replies(handler, *TO_BOB, *ONE, *TWO, *END, "RSET", "NOOP")
    assert [line[:3] for line in said[2:]] == ["451", "503", "503", "250", "250"]
    assert handler.calls == (["open"] if fail_at == "open" else ["open", "write", "abort"])


def test_a_write_that_fails_in_the_last_chunk() -> None:
    handler = Sinks("write")
    assert replies(handler, *TO_BOB, *END, "NOOP")[2:] == [
        "451 4.3.0 Local error in processing",
        "250 2.0.0 OK",
    ]
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("code", [452, 554, 421])
def test_a_message_refused_at_its_first_chunk(code: int) -> None:
    handler = Sinks(refusal=Reply(code, None, "No"))
    said = replies(handler, *TO_BOB, *ONE, *END, "NOOP")
    expected = ["421"] if code == 421 else [str(code), "503", "250"]
    assert [line[:3] for line in said[2:]] == expected
    assert handler.calls == []


def test_chunks_that_become_too_many_octets() -> None:
    handler, config = Sinks(), ServerConfig(limits=Limits(message_size=65536))
    body = b"BDAT 65536\r\n" + bytes(65536) + b"BDAT 1\r\nx"
    feed = serve(handler, octets("EHLO x", *TO_BOB) + body + octets("NOOP"), config=config)
    assert feed.said[-3:-1] == [
        "250 2.0.0 Chunk received",
        "552 5.3.4 Message size exceeds fixed maximum message size",
    ]
    assert handler.calls == ["open", "write", "abort"]


class Stopped(Feed):
    """Stops *conversation* when it waits for the *n*-th piece."""

    conversation: Conversation
    n: int

    async def read(self, timeout: float | None) -> bytes:
        if len(self.waits) == self.n:
            self.conversation.stop()
        return await super().read(timeout)


@pytest.mark.parametrize("n", range(1, 7))
def test_stop_lets_a_message_in_chunks_come_to_its_end(n: int) -> None:
    """But not one that has not begun, and nothing after it."""
    handler = Sinks()
    stream = Stopped(
        [
            octets("EHLO x"), octets(*TO_BOB), octets("BDAT 5"), octets("one"),
            octets("BDAT 3 LAST"), octets("3"), octets("MAIL FROM:<>"),
        ]
    )  # fmt: skip
    stream.conversation = Conversation(stream, handler, ServerConfig(), World())
    stream.n = n
    run(stream.conversation.run())
    begun = n > 2
    assert handler.calls == (["open", "write", "commit"] if begun else [])
    assert stream.said[-1] == (
        "421 4.3.2 localhost Service shutting down; closing transmission channel"
    )
    assert ("250 2.0.0 Message accepted" in stream.said) is begun
    assert stream.interrupted is (n < 3 or n == 6)


def test_require_tls_reads_the_octets_of_a_chunk_all_the_same() -> None:
    config = ServerConfig(context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), require_tls=True)
    said = replies(Sinks(), "BDAT 6", "QUIT", "VRFY bob", "HELP", "NOOP", config=config)
    assert [line[:3] for line in said] == ["530", "530", "530", "250"]


# -- parameters ----------------------------------------------------------------------------------


@pytest.mark.req(
    "RFC3461-5.1-01", "RFC3461-5.1-03", "RFC3461-5.1-05", "RFC3461-5.1-06", "RFC3461-4.2-06",
    "RFC3461-4.4-03",
)  # fmt: skip
def test_requests_for_notifications_change_no_reply() -> None:
    class Picky(Handler):
        def mail(
            self, session: Session, sender: ReversePath, parameters: MailParameters
        ) -> Verdict:
            return Reply(550, "5.7.1", "Not you") if "evil" in str(sender) else None

        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Verdict:
            unknown = recipient.local_part == "nobody"
            return Reply(550, "5.1.1", "No such user") if unknown else None

    def said(mail: str, rcpt: str) -> list[str]:
        return replies(
            Picky(), f"MAIL FROM:<evil@example.org>{mail}", f"MAIL FROM:<ann@example.org>{mail}",
            f"RCPT TO:<nobody@example.org>{rcpt}", f"RCPT TO:<bob@example.org>{rcpt}",
            config=ServerConfig(extensions={"DSN": ""}),
        )  # fmt: skip

    plain = said("", "")
    assert [line[:3] for line in plain] == ["550", "250", "550", "250"]
    for mail in ("", " RET=FULL", " ENVID=QQ314159", " RET=HDRS ENVID=ann+2Bx"):
        for rcpt in ("", " NOTIFY=NEVER", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;not+20an+20address"):
            assert said(mail, rcpt) == plain


@pytest.mark.req("RFC6710-4.1-02")
def test_a_priority_is_for_those_who_logged_in() -> None:
    seen: list[int | None] = []

    class Urgent(Guard):
        def mail(
            self, session: Session, sender: ReversePath, parameters: MailParameters
        ) -> Verdict:
            seen.append(parameters.mt_priority)
            return None

    config = ServerConfig(extensions={"MT-PRIORITY": ""}, auth_in_clear=True)
    lines = ["MAIL FROM:<> MT-PRIORITY=3", "RSET", "MAIL FROM:<> MT-PRIORITY=-3", "RSET"]
    replies(Urgent(), *lines, LOGIN, lines[0], config=config)
    assert seen == [0, -3, 3]


@pytest.mark.req("RFC2852-3-01", "RFC2852-4-03")
def test_deliver_by_below_the_minimum() -> None:
    config = ServerConfig(extensions={"DELIVERBY": "240"})
    lines = [f"MAIL FROM:<> BY={by}" for by in ("239;R", "239;N", "0;N", "-1;N", "240;R")]
    said = [replies(Handler(), line, config=config)[0][:3] for line in lines]
    assert said == ["555", "250", "250", "250", "250"]


@pytest.mark.req("RFC9422-3-05")
def test_limits_are_applied_as_they_are_announced() -> None:
    config = ServerConfig(limits=Limits(recipients=2, transactions=1))
    assert "LIMITS RCPTMAX=2 MAILMAX=1" in keywords(Handler(), config)
    lines = ["MAIL FROM:<>", *(f"RCPT TO:<{name}@b.example>" for name in "abc")]
    said = replies(Handler(), *lines, "RSET", "MAIL FROM:<>", config=config)
    assert [line[:3] for line in said] == ["250", "250", "250", "452", "250", "421"]


# -- leniencies ----------------------------------------------------------------------------------


def test_what_was_tolerated_is_logged_escaped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        said = replies(Handler(), "MAIL FROM: <ann@example.org>", "RCPT  TO:<bob@example.org>")
    assert [line[:3] for line in said] == ["250", "250"]
    told = [record.getMessage() for record in caplog.records if "tolerated" in record.getMessage()]
    assert told == [
        "tolerated space_after_colon: MAIL FROM: <ann@example.org>",
        "tolerated extra_blanks: RCPT  TO:<bob@example.org>",
    ]
    config = ServerConfig(leniencies=Leniencies.strict())
    assert replies(Handler(), "MAIL FROM: <>", config=config)[0].startswith("501")
    quiet = ServerConfig(leniencies=Leniencies(space_after_colon=Tolerance.ACCEPT))
    caplog.clear()
    assert replies(Handler(), "MAIL FROM: <>", config=quiet)[0].startswith("250")
    assert not [record for record in caplog.records if "tolerated" in record.getMessage()]


# -- XCLIENT and XFORWARD ------------------------------------------------------------------------


@define(eq=False)
class Guard(Handler):
    """Remembers the sessions it sees."""

    seen: list[Session] = field(factory=list)
    refuse: str = "nobody"

    def connect(self, session: Session) -> Verdict:
        self.seen.append(session)
        no = session.peer[0] == self.refuse
        return Reply(554, "5.7.1", "Not you") if no else None

    def authenticate(self, session: Session, credentials: Credentials) -> Verdict:
        assert credentials.password == Secret("secret")
        return None

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self.seen.append(session)
        return None


TRUSTING = ServerConfig(xclient_from=["192.0.2.0/24"], xforward_from=["192.0.2.1"])
STRANGER = ServerConfig(xclient_from=["198.51.100.0/24"], xforward_from=[])
LOGIN = "AUTH PLAIN AGFubgBzZWNyZXQ="


def test_xclient_and_xforward_are_for_trusted_peers() -> None:
    offered = keywords(Guard(), TRUSTING)
    assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in offered
    assert "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE" in offered
    for config in (STRANGER, ServerConfig()):
        assert not {word for word in keywords(Guard(), config) if word[0] == "X"}
        handler = Guard()
        said = replies(
            handler, "XCLIENT ADDR=198.51.100.7 LOGIN=root", "XFORWARD NAME=x", "MAIL FROM:<>",
            config=config,
        )  # fmt: skip
        assert [line[:3] for line in said] == ["502", "502", "250"]
        assert {session.peer for session in handler.seen} == {(PEER, 4711)}
        assert {session.user for session in handler.seen} == {None}


def test_xclient_puts_another_in_the_place_of_the_client() -> None:
    handler = Guard()
    said = replies(
        handler, "XCLIENT ADDR=198.51.100.7 PORT=99 NAME=spike.example LOGIN=carl", "MAIL FROM:<>",
        "EHLO spike.example", "MAIL FROM:<>", config=TRUSTING,
    )  # fmt: skip
    assert said[0] == "220 localhost ESMTP ready"
    assert said[1] == "503 5.5.1 Send EHLO first"  # the session is as new
    assert said[-1].startswith("250 2.1.0")
    first, again, mail = handler.seen
    assert first.peer == (PEER, 4711) and first.impersonated is None
    assert again.peer == mail.peer == ("198.51.100.7", 99)
    assert again.hello is None and str(mail.hello) == "spike.example"
    assert again.user == mail.user == "carl"
    assert mail.impersonated is not None and mail.impersonated.name == "spike.example"


@pytest.mark.parametrize(
    ("attributes", "peer"),
    [
        ("ADDR=IPV6:2001:db8::7", ("2001:db8::7", 4711)),
        ("ADDR=[UNAVAILABLE]", ("", 4711)),
        ("PORT=7", (PEER, 7)),
        ("NAME=[TEMPUNAVAIL] PORT=[UNAVAILABLE]", (PEER, 4711)),
    ],
)
def test_what_xclient_may_leave_open(attributes: str, peer: tuple[str, int]) -> None:
    handler = Guard()
    said = replies(handler, f"XCLIENT {attributes}", config=TRUSTING)
    assert said == ["220 localhost ESMTP ready"]
    assert handler.seen[-1].peer == peer


@pytest.mark.parametrize("login", ["", " LOGIN=[UNAVAILABLE]"])
def test_xclient_takes_no_login_over(login: str) -> None:
    """Who logged in was the one who speaks for others."""
    config = ServerConfig(xclient_from=[PEER], auth_in_clear=True, require_auth=True)
    handler = Guard()
    said = replies(
        handler, LOGIN, f"XCLIENT ADDR=198.51.100.7{login}", "EHLO x", "MAIL FROM:<>", LOGIN,
        "MAIL FROM:<>", config=config,
    )  # fmt: skip
    assert [line[:3] for line in said if not line.startswith("250-")] == [
        "235", "220", "250", "530", "235", "250",
    ]  # fmt: skip
    assert [session.user for session in handler.seen] == [None, None, "ann"]


def test_xclient_with_a_login_counts_as_one() -> None:
    config = ServerConfig(xclient_from=[PEER], auth_in_clear=True, require_auth=True)
    handler = Guard()
    said = replies(handler, "XCLIENT LOGIN=carl", "EHLO x", "MAIL FROM:<>", LOGIN, config=config)
    assert [line[:3] for line in said if not line.startswith("250-")] == [
        "220",
        "250",
        "250",
        "503",
    ]
    assert handler.seen[-1].user == "carl"


def test_xclient_that_the_handler_refuses_changes_nothing() -> None:
    handler = Guard(refuse="198.51.100.7")
    said = replies(handler, "XCLIENT ADDR=198.51.100.7", "MAIL FROM:<>", config=TRUSTING)
    assert [line[:3] for line in said] == ["554", "250"]
    assert handler.seen[-1].peer == (PEER, 4711)


@pytest.mark.parametrize(
    "line", ["XCLIENT", "XCLIENT ADDR=x", "XCLIENT FOO=1", "XFORWARD", "XFORWARD SOURCE=x"]
)
def test_attributes_that_are_none(line: str) -> None:
    handler = Guard()
    assert replies(handler, line, "MAIL FROM:<>", config=TRUSTING)[0].startswith("501")
    assert handler.seen[-1].impersonated is None and handler.seen[-1].forwarded is None


def test_xclient_and_xforward_are_not_for_the_middle_of_a_transaction() -> None:
    said = replies(
        Guard(), "MAIL FROM:<>", "XCLIENT NAME=x", "XFORWARD NAME=x", "RCPT TO:<a@b.example>",
        config=TRUSTING,
    )  # fmt: skip
    assert [line[:3] for line in said] == ["250", "503", "503", "250"]


def test_xforward_gathers() -> None:
    handler = Guard()
    said = replies(
        handler, "XFORWARD NAME=spike.example ADDR=198.51.100.7", "XFORWARD IDENT=4F2A NAME=x",
        "MAIL FROM:<>", config=TRUSTING,
    )  # fmt: skip
    assert said[:2] == ["250 2.0.0 OK"] * 2
    forwarded = handler.seen[-1].forwarded
    assert forwarded is not None
    assert (forwarded.name, str(forwarded.addr), forwarded.ident) == ("x", "198.51.100.7", "4F2A")
    assert handler.seen[-1].peer == (PEER, 4711)


def test_a_client_says_xclient_and_greets_again() -> None:
    simulation, handler = Simulation(1), Guard()
    simulation.listen(
        25, handler, ServerConfig(xclient_from=["192.0.2.0/24"], xforward_from="::/0")
    )

    async def talk() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            told = XClientAttributes(name="spike.example", login="carl")
            assert (await client.command(XClient(told))).code == 220
            assert client.usable and "PIPELINING" in client.extensions
            assert (await client.command(XClient(told))).code == 220
            with pytest.raises(NotOffered, match="XFORWARD"):
                await client.command(XForward(XForwardAttributes(name="x")))
            await client.reset()

    simulation.run(talk())
    assert handler.seen[-1].user == "carl"


# -- PROXY ---------------------------------------------------------------------------------------

PROXIED = ServerConfig(proxied_by=["192.0.2.1"], xclient_from=["198.51.100.7"])
HEADER = ProxyHeader(("198.51.100.7", 99), ("192.0.2.2", 25))
HELLO = octets("EHLO client.example", "MAIL FROM:<>")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_proxy_tells_who_the_client_is(version: int, size: int) -> None:
    handler = Guard()
    data = (HEADER.v1() if version == 1 else bytes(HEADER)) + HELLO
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    feed = serve(handler, *pieces, config=PROXIED)
    assert feed.said[0] == "220 localhost ESMTP ready" and feed.said[-1].startswith("250 2.1.0")
    assert {session.peer for session in handler.seen} == {("198.51.100.7", 99)}
    assert handler.seen[-1].proxied == HEADER
    # trust is in the client, not in the proxy
    assert any("XCLIENT" in line for line in feed.said)


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", bytes(ProxyHeader(local=True)), bytes(ProxyHeader())]
)
def test_a_proxy_that_does_not_tell(header: bytes) -> None:
    handler = Guard()
    assert serve(handler, header + HELLO, config=PROXIED).said[-1].startswith("250 2.1.0")
    assert handler.seen[-1].peer == (PEER, 4711) and handler.seen[-1].proxied is None


@pytest.mark.parametrize(
    "pieces",
    [
        [HELLO],
        [b"PROXY TCP4 198.51.100.7\r\n"],
        [b"PROXY TCP4 198.51.100.7 192.0.2.2 99 25\n"],
        [bytes(HEADER)[:20]],
        [HEADER.v1()[:-1]],
        [],
        [TimedOut("silent")],
        [bytes(HEADER)[:20], TimedOut("silent")],
        [ConnectionLost("gone")],
        [b"PROXY TCP4 " + b"1" * 200],
        [bytes(HEADER)[:14] + b"\xff\xff"],
        [b"\r\n\r\n\0\r\nQUIT\n\x31"],
    ],
    ids=repr,
)
def test_without_a_good_header_nothing_is_said(
    pieces: list[bytes | Exception], caplog: pytest.LogCaptureFixture
) -> None:
    handler = Guard()
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        feed = serve(handler, *pieces, config=PROXIED)
    assert feed.written == [] and handler.seen == []
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert any("broke" in record.getMessage() for record in caplog.records)


def test_the_header_has_its_own_time_out() -> None:
    feed = serve(Guard(), bytes(HEADER)[:20], bytes(HEADER)[20:] + HELLO, config=PROXIED)
    header, rest, later = feed.waits
    assert header is not None and rest is not None and header <= 30 and rest <= header
    assert later is not None and later > 30


def test_a_slow_header_is_a_time_out_by_the_clock() -> None:
    simulation, handler = Simulation(1), Guard()
    simulation.listen(25, handler, PROXIED)

    async def client() -> bytes:
        stream = await simulation.dial("mx", 25, None)
        for octet in bytes(HEADER)[:10]:
            await stream.write(bytes([octet]), None)
            await simulation.wait(lambda: False, 4)
        return await stream.read(None)

    assert simulation.run(client()) == [b""]
    assert 30 <= simulation.now() <= 44 and handler.seen == []


def test_a_header_from_others_is_no_command() -> None:
    handler = Guard()
    config = ServerConfig(proxied_by=["198.51.100.7"])
    feed = serve(handler, HEADER.v1() + HELLO, config=config)
    assert feed.said[1].startswith("500") and feed.said[-1].startswith("250 2.1.0")
    assert handler.seen[-1].peer == (PEER, 4711)
    feed = serve(handler, bytes(HEADER) + HELLO, config=config)
    assert handler.seen[-1].peer == (PEER, 4711)


def test_xclient_after_a_proxy() -> None:
    handler = Guard()
    lines = octets("EHLO x", "XCLIENT ADDR=203.0.113.9", "EHLO y", "MAIL FROM:<>")
    serve(handler, bytes(HEADER) + lines, config=PROXIED)
    last = handler.seen[-1]
    assert last.peer == ("203.0.113.9", 99) and last.proxied == HEADER


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ca, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    ca.issue_cert("mx.example.org").configure_cert(server)
    return client, server


class Tagged(Guard):
    """Refuses all, having seen whether TLS is required further on."""

    tags: list[bool]

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Verdict:
        self.tags = [envelope.parameters.requiretls]
        return Reply(554, "5.7.1", "Seen")


@pytest.mark.req("RFC8689-2-06")
def test_requiretls_is_nothing_in_clear() -> None:
    config = ServerConfig(extensions={"REQUIRETLS": ""})
    assert "REQUIRETLS" not in keywords(Handler(), config)
    assert replies(Handler(), "MAIL FROM:<> REQUIRETLS", config=config)[0].startswith("555")


@pytest.mark.req("RFC8689-4.1-01")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("implicit", [False, True])
def test_a_proxy_before_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], implicit: bool, seed: int
) -> None:
    """And what was told in clear before STARTTLS is forgotten, but not what the proxy told."""
    client_context, context = contexts
    simulation, handler = Simulation(seed), Tagged()
    port = 465 if implicit else 25
    config = ServerConfig(
        context=context,
        implicit_tls=implicit,
        require_tls=True,
        proxied_by=["192.0.2.0/24"],
        extensions={"REQUIRETLS": ""},
    )
    simulation.listen(port, handler, config)
    options = ClientConfig(
        context=client_context, proxy=HEADER, tls="implicit" if implicit else "required"
    )

    async def talk() -> None:
        async with await open_client(simulation, "mx.example.org", port, options) as client:
            assert client.tls is not None
            with pytest.raises(LocalProtocolError):
                await client.command(XClient(XClientAttributes(name="x")))
            strict = MailParameters(requiretls=True)
            with pytest.raises(SendRefused, match="Seen"):
                await client.send(b"hi\n", Envelope("", "bob@example.org", strict))

    simulation.run(talk())
    assert handler.tags == [True]
    last = handler.seen[-1]
    assert last.tls is not None and last.peer == ("198.51.100.7", 99) and last.proxied == HEADER
