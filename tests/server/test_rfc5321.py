"""RFC 5321 and its neighbours in a server's conversation, requirement by requirement."""

from __future__ import annotations

import base64
import logging
import runpy
from collections.abc import Iterable
from pathlib import Path

import pytest
from attrs import define, evolve, field

from smtpproto import (
    Authenticator,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    Mailbox,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    Secret,
    ServerConfig,
    ServerProtocol,
    Session,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.grammar.domain import Host
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import handler_of
from smtpproto.testing.script import ScriptedStream

from ..support.scripted_client import Accounts

KEYWORDS = """
    S: 250-PIPELINING
    S: 250-SIZE 33554432
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=1000
    S: 250-ENHANCEDSTATUSCODES
    S: 250 HELP
"""
OPEN = """
    S: 220 localhost ESMTP ready
    C: EHLO client.example
    S: 250-localhost greets you
"""
HELLO = OPEN + KEYWORDS
QUIT = """
    C: QUIT
    S: 221 2.0.0 localhost Service closing transmission channel
"""
DATA = """
    C: DATA
    S: 354 Start mail input; end with <CRLF>.<CRLF>
"""
END = """
    C: .
    S: 250 2.0.0 Message accepted
"""


def mail(sender: str) -> str:
    return f"C: MAIL FROM:<{sender}>\nS: 250 2.1.0 Sender OK\n"


def rcpt(recipient: str) -> str:
    return f"C: RCPT TO:<{recipient}>\nS: 250 2.1.5 Recipient OK\n"


def play(script: str, handler: Handler, config: ServerConfig | None = None) -> None:
    stream = ScriptedStream(script, plays="C")
    conversation = Conversation(stream, handler_of(handler), config or ServerConfig(), Runtime())
    run(conversation.run())
    stream.finish()
    assert stream.closed


@define(eq=False)
class Inbox(Handler):
    """Takes everything, keeps what it was told, and refuses as *answers* say."""

    answers: dict[str, Reply] = field(factory=dict)
    recipients: list[ForwardPath] = field(factory=list)
    messages: list[tuple[Envelope, bytes]] = field(factory=list)

    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        return self.answers.get(f"mail {parameters}".strip(), self.answers.get("mail"))

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        self.recipients.append(recipient)
        return self.answers.get(str(recipient))

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        self.messages.append((envelope, body))
        return self.answers.get("message")


# -- transactions --------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.2-01")
def test_a_message_has_its_own_envelope_only() -> None:
    inbox = Inbox()
    first = f"{mail('eve@example.org')}{rcpt('old@example.org')}C: RSET\nS: 250 2.0.0 OK\n"
    second = f"{mail('ann@example.org')}{rcpt('bob@example.org')}{DATA}C: x\n{END}"
    play(f"{HELLO}{first}{second}{QUIT}", inbox)
    assert inbox.messages == [(Envelope("ann@example.org", ["bob@example.org"]), b"x\r\n")]


@pytest.mark.req("RFC5321-3.4-01", "RFC5321-3.4-03", "RFC5321-3.4-02", "RFC5321-3.4-05")
def test_a_recipient_with_251_gets_the_message_and_one_with_551_does_not() -> None:
    answers = {
        "moved@example.org": Reply(251, "2.1.5", "will forward to <moved@example.net>"),
        "gone@example.org": Reply(551, "5.1.6", "please try <gone@example.net>"),
    }
    inbox = Inbox(answers)
    play(
        f"""{HELLO}{mail("ann@example.org")}
        C: RCPT TO:<moved@example.org>
        S: 251 2.1.5 will forward to <moved@example.net>
        C: RCPT TO:<gone@example.org>
        S: 551 5.1.6 please try <gone@example.net>
        {DATA}{END}{QUIT}""",
        inbox,
    )
    assert inbox.messages == [(Envelope("ann@example.org", ["moved@example.org"]), b"")]


@pytest.mark.req("RFC5321-F.2-03", "RFC5321-3.3-06", "RFC5321-4.1.2-11")
@pytest.mark.parametrize(
    ("path", "local_part", "domain"),
    [
        ("@a.example,@b.example:u@c.example", "u", "c.example"),
        ('"bob"@example.org', "bob", "example.org"),
        (r'"b\ob"@example.org', "bob", "example.org"),
        ("bob@example.org", "bob", "example.org"),
        (r'"b\o\b \x"@example.org', "bob x", "example.org"),
    ],
)
def test_hooks_see_one_form_of_each_mailbox(path: str, local_part: str, domain: str) -> None:
    inbox = Inbox()
    play(f"{HELLO}{mail('')}{rcpt(path)}{QUIT}", inbox)
    (recipient,) = inbox.recipients
    assert recipient.local_part == local_part
    assert recipient.domain == domain
    assert ":" not in str(recipient)


@pytest.mark.req("RFC5321-4.1.1.3-05")
def test_recipients_come_in_order_and_twice_if_said_twice() -> None:
    inbox, names = Inbox(), ["b@example.org", "a@example.org", "b@example.org"]
    play(f"{HELLO}{mail('')}{''.join(map(rcpt, names))}{QUIT}", inbox)
    assert [str(path) for path in inbox.recipients] == names


@pytest.mark.req("RFC5321-4.1.1.11-02")
def test_parameters_that_cannot_be_honoured_now() -> None:
    """455, but what the extension's RFC says where it says something (RFC 1870 6.1: 452)."""
    answers = {
        "mail BODY=8BITMIME": Reply(455, "4.5.4", "Not now"),
        "mail SIZE=1000": Reply(452, "4.3.1", "Not enough storage"),
    }
    play(
        f"""{HELLO}
        C: MAIL FROM:<ann@example.org> BODY=8BITMIME
        S: 455 4.5.4 Not now
        C: MAIL FROM:<ann@example.org> SIZE=1000
        S: 452 4.3.1 Not enough storage
        {mail("ann@example.org")}{QUIT}""",
        Inbox(answers),
    )


@pytest.mark.req("RFC5321-4.1.4-11", "RFC5321-6.2-02")
@pytest.mark.parametrize("name", ["[203.0.113.9]", "other.invalid", "localhost"])
def test_nobody_is_refused_for_a_name_or_a_sender_by_default(name: str) -> None:
    """The peer is 192.0.2.1, and there is no such sender."""
    inbox = Inbox()
    opened = HELLO.replace("client.example", name)
    play(f"{opened}{mail('nobody@nowhere.invalid')}{rcpt('b@c.example')}{DATA}{END}{QUIT}", inbox)
    assert len(inbox.messages) == 1


# -- content -------------------------------------------------------------------------------------

MANY = ",\n".join(f" user{number}@example.net" for number in range(500))


@pytest.mark.req("RFC5321-3.3-15", "RFC5321-3.3-16", "RFC5321-3.7.2-02", "RFC5321-4.5.3.1.8-03")
@pytest.mark.parametrize(
    "content",
    [
        "",
        "no header section",
        "\nonly a body",
        "Content-Type: multipart/mixed; boundary=\n\n--x\nContent-Transfer-Encoding: ?\n\n--y",
        "From: a@b.example\nFrom: (((\nDate: never\n\nbody",
        "Resent-To: c@d.example\nTo: e@f.example\n\nbody",
        "Resent-From: a@b.example\nResent-From: c@d.example\nResent-Date: x\n\nbody",
        "Received: garbage\nReceived:\nReceived: from ; from by\n\nbody",
        f"To: {MANY}\n\nbody",
    ],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
def test_what_the_content_is_does_not_matter(content: str) -> None:
    inbox = Inbox()
    lines = "".join(f"C: {line}\n" for line in content.split("\n")) if content else ""
    stream = f"{HELLO}{mail('ann@example.org')}{rcpt('bob@example.org')}{DATA}{lines}{END}{QUIT}"
    play(stream, inbox)
    ((_, body),) = inbox.messages
    assert body.decode() == "".join(f"{line}\r\n" for line in content.split("\n") if lines)


@pytest.mark.req("RFC6531-3.5-03")
def test_a_message_that_some_recipient_cannot_take() -> None:
    inbox = Inbox({"message": Reply(554, "5.6.9", "UTF-8 header cannot go to bob")})
    play(
        f"""{HELLO}
        C: MAIL FROM:<ann@example.org> BODY=8BITMIME SMTPUTF8
        S: 250 2.1.0 Sender OK
        {rcpt("bob@example.org")}{DATA}
        C: Subject: ü
        C: .
        S: 554 5.6.9 UTF-8 header cannot go to bob{QUIT}""",
        inbox,
    )


@define(eq=False)
class AsciiInbox(Handler):
    """Has mailboxes that cannot take UTF-8 headers."""

    smtputf8: bool = False

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.smtputf8 = parameters.smtputf8

    def rcpt(self, session: Session, *_: object) -> Reply | None:
        return Reply(553, "5.6.7", "Only ASCII for this mailbox") if self.smtputf8 else None


@pytest.mark.req("RFC6531-3.5-04")
def test_a_recipient_that_cannot_take_utf8_is_refused_at_rcpt() -> None:
    play(
        f"""{HELLO}
        C: MAIL FROM:<ann@example.org> SMTPUTF8
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<bob@example.org>
        S: 553 5.6.7 Only ASCII for this mailbox
        C: RSET
        S: 250 2.0.0 OK
        {mail("ann@example.org")}{rcpt("bob@example.org")}{QUIT}""",
        AsciiInbox(),
    )


# -- VRFY, EXPN, HELP ----------------------------------------------------------------------------

BOB, ANN = Mailbox.parse("bob@example.org"), Mailbox.parse('"ann lee"@example.org')


@define(eq=False)
class Directory(Handler):
    """Knows names; notes what it was asked."""

    known: dict[str, object]
    asked: list[str] = field(factory=list)

    def vrfy(self, session: Session, name: str) -> Reply | Mailbox | None:
        self.asked.append(f"VRFY {name}")
        return self.known.get(name, Reply(550, "5.1.1", "No such user"))  # type: ignore[return-value]

    async def expn(self, session: Session, name: str) -> Reply | Iterable[Mailbox]:
        self.asked.append(f"EXPN {name}")
        return self.known.get(name, Reply(550, "5.1.1", "No such list"))  # type: ignore[return-value]

    def rcpt(self, *_: object) -> None:
        raise AssertionError("nobody is a recipient")


WITH_EXPN = f"{OPEN}{KEYWORDS}".replace("S: 250 HELP", "S: 250-HELP\nS: 250 EXPN")


@pytest.mark.req(
    "RFC5321-3.5.1-01", "RFC5321-3.5.1-02", "RFC5321-3.5.1-04", "RFC5321-3.5.1-06",
    "RFC5321-3.5.1-07", "RFC5321-3.5.2-02", "RFC5321-3.5.2-03", "RFC5321-3.5.2-06",
    "RFC5321-3.5.2-09", "RFC5321-3.5.3-04",
)  # fmt: skip
def test_names_and_lists_are_looked_up() -> None:
    known = {"bob": BOB, "bob@example.org": BOB, "staff": (ANN, BOB), "a b": ANN}
    directory = Directory(known)
    play(
        f"""{WITH_EXPN}
        C: VRFY bob
        S: 250 2.1.5 <bob@example.org>
        C: VRFY bob@example.org
        S: 250 2.1.5 <bob@example.org>
        C: vrfy a b
        S: 250 2.1.5 <"ann lee"@example.org>
        C: VRFY eve
        S: 550 5.1.1 No such user
        C: EXPN staff
        S: 250-2.1.5 <"ann lee"@example.org>
        S: 250 2.1.5 <bob@example.org>
        C: EXPN others
        S: 550 5.1.1 No such list
        {QUIT}""",
        directory,
    )
    assert directory.asked == ["VRFY bob", "VRFY bob@example.org", "VRFY a b", "VRFY eve",
                               "EXPN staff", "EXPN others"]  # fmt: skip
    for mailbox in (ANN, BOB):
        assert ForwardPath.parse(f"<{mailbox}>").mailbox == mailbox


@pytest.mark.req("RFC5321-3.5.2-01", "RFC5321-3.5.2-04", "RFC5321-3.5.2-10")
@pytest.mark.parametrize(
    "found", ["bob", "bob@example.org", "@a.example:bob@example.org", "|program", ["/dir/file"], 7]
)
def test_nothing_but_a_mailbox_is_shown_as_one(found: object) -> None:
    broken = "S: 451 4.3.0 Local error in processing\n"
    script = f"{WITH_EXPN}C: VRFY it\n{broken}C: EXPN it\n{broken}{QUIT}"
    play(script, Directory({"it": found}))


@pytest.mark.req("RFC5321-3.5.1-05")
@pytest.mark.parametrize("line", ["252 2.5.0 A list; send and see", "550 5.1.1 A list: use EXPN"])
def test_verifying_a_list(line: str) -> None:
    answer = Reply.parse(f"{line}\r\n".encode())
    play(f"{WITH_EXPN}C: VRFY staff\nS: {line}{QUIT}", Directory({"staff": answer}))


WORDS = [
    "251 2.1.5 User not local; will forward to <bob@example.net>",
    "551 5.1.6 User not local; please try <bob@example.net>",
    "250 2.1.5 Bob Lee <bob@example.org>",
    "250 2.1.5 <staff@example.org>",
    "250 2.1.5 whoever asks for it",
    "553 5.1.4 User ambiguous",
    "553-5.1.4 Possibilities are\nS: 553-5.1.4 <bob@example.org>\nS: 553 5.1.4 <ann@x.example>",
]


@pytest.mark.req("RFC5321-3.5.1-03", "RFC5321-3.5.1-10", "RFC5321-3.5.3-05")
@pytest.mark.parametrize("said", WORDS)
def test_words_of_ones_own_for_a_name(said: str) -> None:
    answer = Reply.parse(said.replace("\nS: ", "\r\n").encode() + b"\r\n")
    play(f"{WITH_EXPN}C: VRFY it\nS: {said}{QUIT}", Directory({"it": answer}))


@pytest.mark.req("RFC5321-7.3-01", "RFC5321-7.3-02", "RFC5321-7.3-04")
def test_by_default_nobody_learns_who_is_there() -> None:
    cannot = "S: 252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery\n"
    not_here = "S: 502 5.5.1 Command not implemented\n"
    names = ["bob", "nobody", "bob@example.org"]
    asked = "".join(f"C: VRFY {name}\n{cannot}C: EXPN {name}\n{not_here}" for name in names)
    play(f"{HELLO}{asked}{QUIT}", Inbox())


@pytest.mark.req("RFC5321-4.1.1.8-02", "RFC5321-7.5-01")
def test_help_may_tell_what_this_is() -> None:
    class Open(Handler):
        def help(self, session: Session, topic: str) -> Reply | None:
            return Reply(214, "2.0.0", "exampled 1.2") if topic == "version" else None

    commands = "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP"
    version = "C: HELP version\nS: 214 2.0.0 exampled 1.2\n"
    play(f"{HELLO}{version}C: HELP\nS: 214 2.0.0 {commands}{QUIT}", Open())


# -- AUTH ----------------------------------------------------------------------------------------


class Door(Handler):
    def ehlo(self, session: Session, host: Host) -> None:
        assert session.user is None


HELLO_AUTH = HELLO.replace("S: 250 HELP", "S: 250-HELP\nS: 250 AUTH PLAIN")
IN_CLEAR = ServerConfig(
    authenticator=Accounts(),
    mechanisms="PLAIN",
    auth_in_clear=True,
    limits=Limits(failed_login_delay=0),
)


def plain(*parts: str) -> str:
    return base64.b64encode("\0".join(parts).encode()).decode()


@pytest.mark.req("RFC4422-3.6-01")
def test_every_wrong_login_gets_the_same_words() -> None:
    no = "S: 535 5.7.8 Authentication credentials invalid\n"
    wrong = [("", "ann", "wrong"), ("", "nobody", "secret")]
    lines = "".join(f"C: AUTH PLAIN {plain(*parts)}\n{no}" for parts in wrong)
    play(f"{HELLO_AUTH}{lines}{QUIT}", Door(), IN_CLEAR)


@pytest.mark.req("RFC4954-4-19")
@pytest.mark.parametrize("name", ["an\x07n", "\u00ad", "\u0627a"])
def test_a_name_that_cannot_be_prepared_is_not_even_asked_about(name: str) -> None:
    class Asked(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            raise AssertionError("asked")

    config = evolve(IN_CLEAR, authenticator=Asked())
    no = "S: 535 5.7.8 Authentication credentials invalid\n"
    play(f"{HELLO_AUTH}C: AUTH PLAIN {plain('', name, 'x')}\n{no}{QUIT}", Handler(), config)


@pytest.mark.req("RFC4616-2-03")
def test_255_octets_each() -> None:
    name, password = "n" * 255, "p" * 255
    login = f"C: AUTH PLAIN {plain(name, name, password)}\nS: 235 2.7.0 Authentication successful\n"
    config = evolve(IN_CLEAR, authenticator=Accounts(**{name: password}))
    play(f"{HELLO_AUTH}{login}{QUIT}", Door(), config)


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.5.3.1.8-01", "RFC9422-3-08")
@pytest.mark.parametrize(("recipients", "warned"), [(50, True), (99, True), (100, False)])
def test_few_recipients_are_warned_of(
    recipients: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "smtpproto"):
        config = ServerConfig(limits=Limits(recipients=recipients))
    assert ("clients expect at least 100" in caplog.text) == warned
    offered = ServerProtocol(hostname="mx.example", limits=config.limits).offered
    assert offered.limits.rcpt_max == recipients


# -- the postmaster ------------------------------------------------------------------------------


EXAMPLE = Path(__file__).parents[2] / "examples/receive.py"


@pytest.mark.req("RFC5321-4.5.1-02")
@pytest.mark.parametrize("path", ["Postmaster", "postMASTER", "postmaster@example.org"])
def test_mail_for_the_postmaster_gets_to_the_application(path: str) -> None:
    inbox = Inbox()
    play(f"{HELLO}{mail('')}{rcpt(path)}{DATA}{END}{QUIT}", inbox)
    ((envelope, _),) = inbox.messages
    assert [recipient.is_postmaster for recipient in envelope.recipients] == [True]
    example = runpy.run_path(str(EXAMPLE))["Inbox"]()  # which relays for nobody, but takes this
    play(f"{HELLO}{mail('')}{rcpt(path)}{DATA}{END}{QUIT}", example)
