"""What is offered, and what it lets through: EHLO keywords, parameters, line limits."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Any

import pytest
from hypothesis import given

from smtpproto.errors import GrammarError, NotOffered
from smtpproto.events import BodyEnd
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import Command, Data, Ehlo, Mail, Rcpt
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.dsn import OriginalRecipient
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.parameters import MailParameters, RcptParameters
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from smtpproto.testing.strategies import mail_parameters, rcpt_parameters

from .machines import (
    EHLO,
    MAIL,
    MAIL_COMMAND,
    MAIL_LINE,
    RCPT,
    RCPT_COMMAND,
    RCPT_LINE,
    ServerDriver,
    assert_refused,
    exchange,
    lines_of,
    ready_client,
    ready_server,
    receive,
    reply_to,
)

ALL_EXTENSIONS: dict[str, Any] = {
    "secure": True,
    "mechanisms": ("PLAIN",),
    "extensions": {
        "BINARYMIME": "",
        "DSN": "",
        "REQUIRETLS": "",
        "DELIVERBY": "",
        "FUTURERELEASE": "999999999 9999-12-31T23:59:59Z",
        "MT-PRIORITY": "",
        "RRVS": "",
        "NO-SOLICITING": "",
    },
}
# -- the list ----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-2.2.1-01")
def test_nothing_need_be_offered() -> None:
    nothing = dict.fromkeys(EXTENSIONS)
    server = ready_server(extensions=nothing)
    assert server.lines(b"EHLO a.example\r\n") == ["250 mx.example.org greets you"]
    assert server.codes(MAIL_LINE, RCPT_LINE, b"DATA\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-2.4-10", "RFC6531-3.1-01", "RFC2034-3-01")
def test_the_usual_list() -> None:
    assert ready_server().keywords() == [
        "PIPELINING", "SIZE 33554432", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS RCPTMAX=1000",
        "ENHANCEDSTATUSCODES", "HELP",
    ]  # fmt: skip


@pytest.mark.req("RFC5321-2.2.2-01", "RFC6531-3.1-05")
@pytest.mark.parametrize(
    "extensions",
    [
        {"FOO": ""}, {"VERB": ""}, {"SMTPUTF8": "", "8BITMIME": None}, {"CHUNKING": "yes"},
        {"SIZE": "big"}, {"DELIVERBY": "-1"}, {"FUTURERELEASE": ""}, {"MT-PRIORITY": "a b"},
        {"LIMITS": "RCPTMAX=0"}, {"AUTH": ""}, {"XFOO": "a\r\nb"}, {"XFOO": "\u00e9"},
        {"x-foo": ""}, {"X FOO": ""}, {"": ""},
    ],
)  # fmt: skip
def test_offers_that_make_no_sense(extensions: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match=r"."):
        ServerDriver(extensions=extensions)
    assert "XFOO a b" in ready_server(extensions={"XFOO": "a b"}).keywords()


@pytest.mark.req("RFC9422-3-05", "RFC9422-4-02")
@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (Limits(recipients=5, transactions=2), "LIMITS RCPTMAX=5 MAILMAX=2"),
        (Limits(recipients=999_999), "LIMITS RCPTMAX=999999"),
        (Limits(recipients=1_000_000, transactions=1), "LIMITS MAILMAX=1"),
        (Limits(recipients=1_000_000), None),
    ],
)
def test_limits_are_those_that_are_applied(limits: Limits, wanted: str | None, lmtp: bool) -> None:
    server = ready_server(limits=limits, lmtp=lmtp)
    told = [line for line in server.machine.offered.lines() if line.startswith("LIMITS")]
    assert told == ([wanted] if wanted else [])
    offered = server.machine.offered.limits
    assert offered.mail_max == limits.transactions
    if limits.recipients == 5:
        more = RCPT_LINE * 6
        assert server.codes(MAIL_LINE + more) == [250] * 6 + [452]
        assert server.codes(b"RSET\r\n", MAIL_LINE) == [250, 250]
        last = server.lines(b"RSET\r\n", MAIL_COMMAND + b"\r\nNOOP\r\n")[1:]
        assert last == ["421 4.7.0 mx.example.org Too many messages on one connection; closing"]
        assert server.machine.phase is Phase.CLOSED


def test_refused_senders_do_not_count() -> None:
    server = ready_server(
        limits=Limits(transactions=1), application=reply_to(Mail, Reply(450, None, "No"))
    )
    assert server.codes(MAIL_LINE + MAIL_LINE) == [450, 450]
    server.application = reply_to(Data, Reply(450, None, "No"))
    assert server.codes(MAIL_LINE, b"RSET\r\n", MAIL_LINE) == [250, 250, 421]


@pytest.mark.req("RFC9422-3-07", "RFC2920-2-01", "RFC6531-3.1-02")
def test_what_the_last_list_says_to_a_client() -> None:
    client = ready_client(
        "LIMITS MAILMAX=2 RCPTMAX=5", "PIPELINING now", "SMTPUTF8 x", "8BITMIME y"
    )
    assert (client.extensions.limits.mail_max, client.extensions.limits.rcpt_max) == (2, 5)
    client.send(Mail(ReversePath.of("\u00e9@b.example"), MailParameters(smtputf8=True)))
    assert "PIPELINING" in ready_server().keywords()
    assert client.ready, "what stands behind PIPELINING and SMTPUTF8 exchange nothing"
    receive(client, b"250 ok\r\n")
    client.data_to_send()
    exchange(client, EHLO, reply=b"250 mx\r\n")
    assert client.extensions.limits.mail_max is client.extensions.limits.rcpt_max is None


# -- parameters --------------------------------------------------------------------------------


@given(mail_parameters(), rcpt_parameters())
def test_what_is_offered_is_taken_and_the_rest_is_not(
    mail: MailParameters, rcpt: RcptParameters
) -> None:
    """Whatever it is: 250 where its keywords are offered, 555 where they are not."""
    server = ready_server(**ALL_EXTENSIONS, limits=Limits(message_size=None))
    for command in (Mail(MAIL.path, mail), Rcpt(RCPT.path, rcpt)):
        assert server.codes(bytes(command) + b"\r\n") == [250]
    assert server.machine.transaction.rcpts[0].parameters == rcpt
    server = ready_server(extensions=dict.fromkeys(EXTENSIONS))
    for command in (Mail(MAIL.path, mail), Rcpt(RCPT.path, rcpt)):
        line = bytes(command) + b"\r\n"
        no = 500 if len(line) > 512 else 555
        assert server.codes(line) == [no if command.parameters.parameters() else 250]
        server.codes(MAIL_LINE)


@pytest.mark.req("RFC2852-3-01", "RFC2852-4-03")
@pytest.mark.parametrize(
    ("by", "code"),
    [
        (b"239;R", 555), (b"240;R", 250), (b"239;N", 250), (b"0;N", 250), (b"-1;N", 250),
        (b"0;R", 501), (b"-1;R", 501), (b"239;RT", 555), (b"1", 501),
    ],
)  # fmt: skip
def test_deliver_by(by: bytes, code: int) -> None:
    server = ready_server(extensions={"DELIVERBY": "240"})
    assert server.codes(MAIL_COMMAND + b" BY=" + by + b"\r\n") == [code]


@pytest.mark.req("RFC2852-4-04")
@pytest.mark.parametrize("code", [455, 555])
def test_a_deliver_by_time_that_cannot_be_honoured(code: int) -> None:
    no = Reply(code, None, "Cannot")
    server = ready_server(extensions={"DELIVERBY": ""}, application=reply_to(Mail, no))
    assert server.codes(MAIL_COMMAND + b" BY=300;R\r\n") == [code]
    assert isinstance(server.events[0], Mail)
    assert server.events[0].parameters.by == DeliverBy(300, ByMode.RETURN)


FUTURE_RELEASE = "3600 2030-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("held", "code"),
    [
        (b"HOLDFOR=3600", 250), (b"HOLDFOR=3601", 501), (b"HOLDFOR=0", 501),
        (b"HOLDUNTIL=2030-01-01T00:00:00Z", 250), (b"HOLDUNTIL=2030-01-01T00:00:01Z", 501),
        (b"HOLDFOR=1 HOLDUNTIL=2029-01-01T00:00:00Z", 501), (b"HOLDFOR", 501),
    ],
)  # fmt: skip
def test_future_release(held: bytes, code: int) -> None:
    line = MAIL_COMMAND + b" " + held + b"\r\n"
    assert ready_server(extensions={"FUTURERELEASE": FUTURE_RELEASE}).codes(line) == [code]
    if code == 250:
        assert ready_server().codes(line) == [555]


@pytest.mark.req("RFC4865-4.1-01")
def test_a_client_holds_no_longer_than_offered() -> None:
    client = ready_client("FUTURERELEASE " + FUTURE_RELEASE)
    assert_refused(
        client,
        lambda: client.send(Mail(MAIL.path, MailParameters(hold_for=3601))),
        NotOffered,
        match="Held longer",
    )
    both = {"hold_for": 1, "hold_until": client.extensions.future_release.until}  # type: ignore[union-attr]
    with pytest.raises(GrammarError):
        MailParameters(**both)  # type: ignore[arg-type]
    client.send(Mail(MAIL.path, MailParameters(hold_for=3600)))


def test_a_client_keeps_to_the_values_that_are_offered() -> None:
    client = ready_client("DELIVERBY 240", "DSN")
    soon = Mail(MAIL.path, MailParameters(by=DeliverBy(239, ByMode.RETURN)))
    assert_refused(client, lambda: client.send(soon), NotOffered, match="minimum")
    exchange(client, Mail(MAIL.path, MailParameters(by=DeliverBy(240, ByMode.RETURN))))


@pytest.mark.req("RFC6710-4.1-01")
@pytest.mark.parametrize(
    ("value", "code"),
    [(b"=9", 250), (b"=-9", 250), (b"=0", 250), (b"=10", 501), (b"=+1", 501), (b"", 501)],
)
def test_priority(value: bytes, code: int) -> None:
    server = ready_server(extensions={"MT-PRIORITY": ""})
    said = server.lines(MAIL_COMMAND + b" MT-PRIORITY" + value + b"\r\n")
    assert said[0].startswith("250 " if code == 250 else "501 5.5.2 ")


@pytest.mark.parametrize("login", [False, True])
def test_who_has_not_logged_in_is_not_believed(login: bool) -> None:
    """Whom it speaks for (RFC 4954 5), and that its message goes first (RFC 6710 4.1)."""
    server = ready_server(**ALL_EXTENSIONS)
    if login:
        server.feed(b"AUTH PLAIN AGEAYg==\r\n")
        server.events.clear()
    for priority in (-3, 0, 4):
        server.feed(MAIL_COMMAND + b" AUTH=ann@example.org MT-PRIORITY=%d\r\nRSET\r\n" % priority)
        mail = server.events[0]
        assert isinstance(mail, Mail)
        assert mail.parameters.auth == ReversePath.of("ann@example.org" if login else "")
        assert mail.parameters.mt_priority == (priority if login or priority < 0 else 0)
        server.events.clear()


@pytest.mark.req("RFC4954-5-02")
def test_auth_may_be_said_without_a_login() -> None:
    server = ready_server(**ALL_EXTENSIONS)
    assert server.codes(MAIL_COMMAND + b" AUTH=<>\r\n") == [250]


@pytest.mark.req("RFC8689-2-06", "RFC8689-4.1-01")
def test_requiretls_on_a_server() -> None:
    options: dict[str, Any] = {"extensions": {"REQUIRETLS": ""}, "starttls": True}
    server = ready_server(**options)
    line = MAIL_COMMAND + b" REQUIRETLS\r\n"
    assert "REQUIRETLS" not in server.keywords()
    assert server.codes(line) == [555]
    server.feed(b"STARTTLS\r\n")
    server.machine.tls_started()
    assert "REQUIRETLS" in server.keywords()
    assert server.codes(line, RCPT_LINE) == [250, 250]
    assert server.machine.envelope.parameters.requiretls
    assert "REQUIRETLS" not in ready_server(secure=True).keywords()


@pytest.mark.req("RFC8689-2-03", "RFC8689-2-05")
def test_requiretls_on_a_client() -> None:
    mail = Mail(MAIL.path, MailParameters(requiretls=True))
    for client in (ready_client("REQUIRETLS"), ready_client(secure=True)):
        assert_refused(client, partial(client.send, mail), NotOffered, match="REQUIRETLS")
    client = ready_client("REQUIRETLS", secure=True)
    client.send(mail)
    assert client.data_to_send() == MAIL_COMMAND + b" REQUIRETLS\r\n"


# -- DSN ---------------------------------------------------------------------------------------

DSN: dict[str, Any] = {"extensions": {"DSN": ""}}
UTF8_ONLY = OriginalRecipient("utf-8", "\u7528" * 70)  # too long when written in ASCII
MAIL_DSN = [b"", b" RET=FULL", b" RET=HDRS ENVID=QQ314159", b" ENVID=+2B"]
RCPT_DSN = [b"", b" NOTIFY=NEVER", b" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b", b" ORCPT=x;y"]


@pytest.mark.req(
    "RFC3461-5.1-01", "RFC3461-5.1-03", "RFC3461-5.1-05", "RFC3461-5.1-06", "RFC3461-4.4-03"
)
def test_what_is_said_of_reports_changes_no_reply() -> None:
    """To accepted and refused senders and recipients alike."""

    def replies(kind: type, mail: bytes, rcpt: bytes) -> list[str]:
        server = ready_server(**DSN, application=reply_to(kind, Reply(550, "5.1.1", "Unknown")))
        return server.lines(
            MAIL_COMMAND + mail + b"\r\n", RCPT_COMMAND + rcpt + b"\r\n", b"DATA\r\n.\r\n"
        )

    for kind in (Mail, Rcpt, BodyEnd):
        seen = {tuple(replies(kind, mail, rcpt)) for mail in MAIL_DSN for rcpt in RCPT_DSN}
        assert seen == {tuple(replies(kind, b"", b""))}


@pytest.mark.req("RFC3461-4.2-06")
def test_the_address_of_orcpt_is_not_looked_at() -> None:
    server = ready_server(MAIL_LINE, **DSN)
    line = RCPT_COMMAND + b" ORCPT=rfc822;not+20an+20address\r\n"
    assert server.codes(line) == [250]
    assert server.machine.transaction.rcpts[0].parameters.orcpt == OriginalRecipient(
        "rfc822", "not an address"
    )


@pytest.mark.req("RFC6533-3-01")
def test_orcpt_may_be_utf_8_where_both_are_offered() -> None:
    orcpt = " ORCPT=utf-8;\u7528\u6237@\u4f8b\u3048.jp".encode()
    assert ready_server(MAIL_LINE, **DSN).codes(RCPT_COMMAND + orcpt + b"\r\n") == [250]
    alone = ready_server(MAIL_LINE, extensions={"DSN": "", "SMTPUTF8": None})
    assert alone.codes(RCPT_COMMAND + b" ORCPT=utf-8;\\x{7528}@b.example\r\n") == [250]
    assert alone.lines(RCPT_COMMAND + b" ORCPT=" + str(UTF8_ONLY).encode() + b"\r\n") == [
        "501 5.5.4 ORCPT needs SMTPUTF8"
    ], "what cannot be passed on in ASCII"


@pytest.mark.req("RFC6533-3-02")
def test_a_client_says_no_utf_8_in_orcpt_where_smtputf8_is_not_offered() -> None:
    client = ready_client("DSN")
    exchange(client, MAIL)
    long = Rcpt(RCPT.path, RcptParameters(orcpt=UTF8_ONLY))
    assert_refused(client, lambda: client.send(long), NotOffered, match="SMTPUTF8")
    client.send(Rcpt(RCPT.path, RcptParameters(orcpt=OriginalRecipient("utf-8", "\u7528@b"))))
    assert client.data_to_send() == RCPT_COMMAND + b" ORCPT=utf-8;\\x{7528}@b\r\n"


# -- line limits -------------------------------------------------------------------------------

LINE_OCTETS = [
    ("8BITMIME", {}, 14, 0),
    ("BINARYMIME", {"8BITMIME": "", "CHUNKING": ""}, 16, 0),
    ("SIZE", {}, 26, 0),
    ("SMTPUTF8", {"8BITMIME": ""}, 10, 0),
    ("DSN", {}, 524, 524),
    ("REQUIRETLS", {}, 11, 0),
    ("DELIVERBY", {}, 17, 0),
    ("FUTURERELEASE", {}, 34, 0),
    ("MT-PRIORITY", {}, 15, 0),
    ("RRVS", {}, 0, 33),
    ("NO-SOLICITING", {}, 1007, 0),
]


def longest(server: ServerDriver, verb: bytes) -> int:
    """The octets of the longest line that is read, CRLF included."""

    def too_long(size: int) -> bool:
        return "Line too long" in server.lines(verb.ljust(size - 2, b"x") + b"\r\n")[0]

    return bisect_left(range(4000), True, lo=512, key=too_long) - 1


@pytest.mark.req(
    "RFC3030-3-03", "RFC2852-2-02", "RFC4865-3-03", "RFC6710-3-02", "RFC8689-2-02",
)  # fmt: skip
@pytest.mark.parametrize(("keyword", "needs", "mail", "rcpt"), LINE_OCTETS)
def test_lines_grow_with_what_is_offered(
    keyword: str, needs: dict[str, str], mail: int, rcpt: int
) -> None:
    said = {"FUTURERELEASE": "3600 2030-01-01T00:00:00Z"}.get(keyword, "")
    nothing: dict[str, str | None] = dict.fromkeys(EXTENSIONS)
    many = Limits(errors=10**6)
    for verb, more in ((b"MAIL ", mail), (b"RCPT ", rcpt), (b"VRFY ", 9 * (keyword[:4] == "SMTP"))):
        before, after = (
            ready_server(extensions=nothing | needs | also, secure=True, limits=many)
            for also in ({}, {keyword: said})
        )
        assert longest(after, verb) - longest(before, verb) == more


@pytest.mark.req("RFC3461-5.4-03")
@pytest.mark.parametrize("size", [1035, 1036])
def test_the_longest_command_with_dsn(size: int) -> None:
    """Of what may stand in it: path, NOTIFY and ORCPT; the rest is blanks."""
    server = ready_server(MAIL_LINE, **DSN)
    path = b"a" * 64 + b"@" + b"b" * 63 + b"." + b"c" * 63 + b"." + b"d" * 59
    line = b"RCPT TO:<" + path + b"> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;"
    line += b"e" * 480
    assert server.codes(line.ljust(size - 2) + b"\r\n") == [250]
    line = MAIL_COMMAND + b" RET=FULL ENVID=" + b"e" * 94
    assert ready_server(**DSN).codes(line.ljust(size - 2) + b"\r\n") == [250]


# -- SIZE --------------------------------------------------------------------------------------


@pytest.mark.req("RFC1870-6.1-02", "RFC1870-7-03", "RFC1870-6.4-01")
def test_the_application_sees_the_declared_size() -> None:
    """At MAIL, even if no limit is offered, and at RCPT."""
    full = Reply(452, "4.3.1", "No room")
    server = ready_server(limits=Limits(message_size=None), application=reply_to(Mail, full))
    assert "SIZE" in server.machine.offered.lines()
    line = MAIL_COMMAND + b" SIZE=99999999999\r\n"
    assert server.lines(line) == ["452 4.3.1 No room"]
    assert isinstance(server.events[0], Mail)
    assert server.events[0].parameters.size == 99999999999
    sizes: list[int | None] = []

    def application(question: object) -> Reply | None:
        if isinstance(question, Rcpt):
            sizes.append(server.machine.envelope.parameters.size)
            return Reply(552, "5.2.2", "Quota") if len(sizes) == 1 else full
        return None

    server.application = application
    assert server.codes(line, RCPT_LINE, RCPT_LINE) == [250, 552, 452]
    assert sizes == [99999999999] * 2


@pytest.mark.req("RFC1870-6.3-01")
@pytest.mark.parametrize("content", [b"DATA\r\n%s.\r\n", b"BDAT 65536 LAST\r\n%s"])
def test_what_was_declared_and_accepted_is_not_too_big(content: bytes) -> None:
    server = ready_server(limits=Limits(message_size=65536))
    server.feed(MAIL_COMMAND + b" SIZE=65536\r\n", RCPT_LINE)
    assert server.codes(content % (b"x" * 65534 + b"\r\n"))[-1] == 250


@pytest.mark.req("RFC1870-6.2-03")
@pytest.mark.parametrize("reply", [b"452 4.3.1 no\r\n", b"552 5.3.4 no\r\n"])
def test_no_may_come_later(reply: bytes) -> None:
    """To DATA and to the content, though MAIL with SIZE had 250: the session goes on."""
    client = ready_client("SIZE")
    for at_data in (True, False):
        exchange(client, Mail(MAIL.path, MailParameters(size=5)), RCPT)
        client.send(Data())
        answers = receive(client, reply if at_data else b"354 go\r\n")
        if not at_data:
            client.send_body(b"abc\r\n")
            client.end_body()
            answers = receive(client, reply)
        assert bytes(answers[-1].reply) == reply
        assert client.phase is (Phase.RCPT if at_data else Phase.READY)
        client.data_to_send()
        if at_data:
            exchange(client, Ehlo(Domain("client.example")), reply=b"250-mx\r\n250 SIZE\r\n")
    exchange(client, MAIL)


# -- STARTTLS ----------------------------------------------------------------------------------


@pytest.mark.req("RFC3207-4-02", "RFC3207-6-07")
def test_replies_to_starttls() -> None:
    no = Reply(454, "4.7.0", "TLS not available due to temporary reason")
    server = ready_server(starttls=True, application=reply_to(Command, no))
    assert server.lines(b"STARTTLS\r\n") == [bytes(no).decode().rstrip()]
    assert server.machine.phase is Phase.READY
    assert server.codes(b"STARTTLS now\r\n") == [501]
    assert ready_server().codes(b"STARTTLS\r\n") == [502]
    assert "STARTTLS" not in ready_server().keywords()
    server = ready_server(MAIL_LINE, starttls=True)
    assert server.codes(b"STARTTLS\r\n") == [503], "not in a transaction"
    assert server.codes(b"RSET\r\nSTARTTLS\r\n") == [250, 220]


# -- AUTH --------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-8-02")
def test_case_of_keywords_and_of_base64() -> None:
    secrets = []

    def application(question: object) -> Reply | None:
        initial = getattr(question, "initial", None)
        if initial is None:
            return None
        secrets.append(initial.reveal())
        return None if initial.reveal() == b"\0a\0b" else Reply(535, "5.7.8", "No")

    server = ready_server(mechanisms=("PLAIN",), auth_in_clear=True, application=application)
    assert server.codes(b"auth PlAiN agEAYg==\r\n", b"auth PlAiN AGEAYg==\r\n") == [535, 235]
    assert len(secrets) == 2
    client = ready_client("auth plain", "starttls")
    assert client.extensions.mechanisms == ("PLAIN",)
    assert "STARTTLS" in client.extensions


# -- without extensions ------------------------------------------------------------------------


@pytest.mark.req("RFC6531-3.2-12")
def test_what_needs_no_smtputf8_goes_as_ever() -> None:
    """The same octets both ways, whether it is offered or not, but for the list itself."""
    client_says, server_says = set(), set()
    for extensions in ({}, {"SMTPUTF8": None}):
        server = ready_server(extensions=extensions)
        client = ready_client(*server.machine.offered.lines())
        for command in (MAIL, RCPT, Rcpt(ForwardPath.of("xn--bcher-kva.example".join("a@ ")[:-1]))):
            client.send(command)
        client.send(Data())
        up = client.data_to_send()
        down = server.feed(up)
        receive(client, down)
        client.send_body(b"text\r\n")
        client.end_body()
        rest = client.data_to_send()
        client_says.add(up + rest)
        server_says.add(down + server.feed(rest))
    assert len(client_says) == len(server_says) == 1
    assert lines_of(*server_says)[-1].startswith("250 ")
