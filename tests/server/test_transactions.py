"""Mail transactions: recipients, content, the postmaster."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from attrs import define, field

from smtpproto import (
    Envelope,
    ForwardPath,
    Handler,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    Session,
)
from tests.support.handlers import Inbox
from tests.support.scripted_client import LOGIN, replies
from tests.support.server_dialogue import (
    DATA,
    END_OF_DATA,
    HELLO,
    PLAIN_IN_CLEAR,
    QUIT,
    mail_from,
    play,
    rcpt_to,
)


@define(eq=False)
class AnsweringInbox(Inbox):
    """Answers RCPT and the message as *answers* say, and keeps the recipients asked for."""

    answers: dict[str, Reply] = field(factory=dict)
    recipients: list[ForwardPath] = field(factory=list)

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        self.recipients.append(recipient)
        return self.answers.get(str(recipient))

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        super().message(session, envelope, body)
        return self.answers.get("message")

    @property
    def deliveries(self) -> list[tuple[Envelope, bytes]]:
        return [(envelope, body) for _, envelope, body in self.messages]


# -- recipients ------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.2-01")
def test_rset_drops_the_sender_and_the_recipients() -> None:
    inbox = AnsweringInbox()
    first = f"{mail_from('eve@example.org')}{rcpt_to('old@example.org')}C: RSET\nS: 250 2.0.0 OK\n"
    second = f"{mail_from('ann@example.org')}{rcpt_to('bob@example.org')}{DATA}C: x\n{END_OF_DATA}"
    play(f"{HELLO}{first}{second}{QUIT}", inbox)
    assert inbox.deliveries == [(Envelope("ann@example.org", ["bob@example.org"]), b"x\r\n")]


@pytest.mark.req("RFC5321-4.1.1.2-01")
def test_the_sender_is_the_path_of_mail_whatever_its_parameters_say() -> None:
    inbox = AnsweringInbox()
    lines = ["MAIL FROM:<ann@example.org> AUTH=eve@example.org", "RCPT TO:<bob@example.org>"]
    replies(inbox, LOGIN, *lines, "DATA", ".", config=PLAIN_IN_CLEAR)
    ((envelope, _),) = inbox.deliveries
    assert str(envelope.sender) == "ann@example.org"
    assert envelope.parameters.auth == ReversePath.of("eve@example.org")


@pytest.mark.req("RFC5321-3.4-01", "RFC5321-3.4-03", "RFC5321-3.4-02", "RFC5321-3.4-05")
def test_a_recipient_with_251_gets_the_message_and_one_with_551_does_not() -> None:
    answers = {
        "moved@example.org": Reply(251, "2.1.5", "will forward to <moved@example.net>"),
        "gone@example.org": Reply(551, "5.1.6", "please try <gone@example.net>"),
    }
    inbox = AnsweringInbox(answers)
    play(
        f"""{HELLO}{mail_from("ann@example.org")}
        C: RCPT TO:<moved@example.org>
        S: 251 2.1.5 will forward to <moved@example.net>
        C: RCPT TO:<gone@example.org>
        S: 551 5.1.6 please try <gone@example.net>
        {DATA}{END_OF_DATA}{QUIT}""",
        inbox,
    )
    assert inbox.deliveries == [(Envelope("ann@example.org", ["moved@example.org"]), b"")]


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
def test_hooks_see_the_mailbox_without_route_and_quotes(
    path: str, local_part: str, domain: str
) -> None:
    inbox = AnsweringInbox()
    play(f"{HELLO}{mail_from('')}{rcpt_to(path)}{QUIT}", inbox)
    (recipient,) = inbox.recipients
    assert recipient.local_part == local_part
    assert recipient.domain == domain
    assert ":" not in str(recipient)


@pytest.mark.req("RFC5321-4.1.1.3-05")
def test_recipients_are_passed_on_in_order_with_duplicates() -> None:
    inbox, names = AnsweringInbox(), ["b@example.org", "a@example.org", "b@example.org"]
    play(f"{HELLO}{mail_from('')}{''.join(map(rcpt_to, names))}{QUIT}", inbox)
    assert [str(path) for path in inbox.recipients] == names


@pytest.mark.req("RFC5321-4.1.4-11", "RFC5321-6.2-02")
@pytest.mark.parametrize("name", ["[203.0.113.9]", "other.invalid", "localhost"])
def test_by_default_no_name_in_ehlo_and_no_sender_is_refused(name: str) -> None:
    """The names are not those of the peer, 192.0.2.1, and the sender's domain does not exist."""
    inbox = Inbox()
    opened = HELLO.replace("client.example", name)
    begin = f"{opened}{mail_from('nobody@nowhere.invalid')}{rcpt_to('b@c.example')}"
    play(f"{begin}{DATA}{END_OF_DATA}{QUIT}", inbox)
    assert len(inbox.messages) == 1


@define(eq=False)
class AsciiInbox(Handler):
    """Refuses recipients of messages with UTF-8 headers."""

    smtputf8: bool = False

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.smtputf8 = parameters.smtputf8

    def rcpt(self, session: Session, *_: object) -> Reply | None:
        return Reply(553, "5.6.7", "Only ASCII for this mailbox") if self.smtputf8 else None


@pytest.mark.req("RFC6531-3.5-04")
def test_the_rcpt_hook_may_refuse_a_recipient_of_an_smtputf8_message() -> None:
    play(
        f"""{HELLO}
        C: MAIL FROM:<ann@example.org> SMTPUTF8
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<bob@example.org>
        S: 553 5.6.7 Only ASCII for this mailbox
        C: RSET
        S: 250 2.0.0 OK
        {mail_from("ann@example.org")}{rcpt_to("bob@example.org")}{QUIT}""",
        AsciiInbox(),
    )


# -- content -------------------------------------------------------------------------------------


MANY_ADDRESSES = ",\n".join(f" user{number}@example.net" for number in range(500))


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
        f"To: {MANY_ADDRESSES}\n\nbody",
    ],
    ids=[
        "empty", "no header", "no header fields", "damaged multipart", "damaged addresses",
        "incomplete resent fields", "duplicate resent fields", "damaged trace", "500 addresses",
    ],
)  # fmt: skip
def test_content_that_is_no_valid_message_is_accepted_unchanged(content: str) -> None:
    inbox = Inbox()
    lines = "".join(f"C: {line}\n" for line in content.split("\n")) if content else ""
    begin = f"{HELLO}{mail_from('ann@example.org')}{rcpt_to('bob@example.org')}"
    script = f"{begin}{DATA}{lines}{END_OF_DATA}{QUIT}"
    play(script, inbox)
    (body,) = inbox.bodies
    assert body.decode() == "".join(f"{line}\r\n" for line in content.split("\n") if lines)


@pytest.mark.req("RFC6531-3.5-03")
def test_the_message_hook_may_refuse_utf8_content_for_one_recipient() -> None:
    inbox = AnsweringInbox({"message": Reply(554, "5.6.9", "UTF-8 header cannot go to bob")})
    play(
        f"""{HELLO}
        C: MAIL FROM:<ann@example.org> BODY=8BITMIME SMTPUTF8
        S: 250 2.1.0 Sender OK
        {rcpt_to("bob@example.org")}{DATA}
        C: Subject: ü
        C: .
        S: 554 5.6.9 UTF-8 header cannot go to bob{QUIT}""",
        inbox,
    )


# -- the postmaster ------------------------------------------------------------------------------


EXAMPLE = Path(__file__).parents[2] / "examples/receive.py"


@pytest.mark.req("RFC5321-4.5.1-02")
@pytest.mark.parametrize("path", ["Postmaster", "postMASTER", "postmaster@example.org"])
def test_mail_to_postmaster_reaches_the_handler(path: str) -> None:
    inbox = Inbox()
    play(f"{HELLO}{mail_from('')}{rcpt_to(path)}{DATA}{END_OF_DATA}{QUIT}", inbox)
    ((_, envelope, _),) = inbox.messages
    assert [recipient.is_postmaster for recipient in envelope.recipients] == [True]
    # The example accepts recipients of its own domain only, but always the postmaster.
    example = runpy.run_path(str(EXAMPLE))["Inbox"]()
    play(f"{HELLO}{mail_from('')}{rcpt_to(path)}{DATA}{END_OF_DATA}{QUIT}", example)
