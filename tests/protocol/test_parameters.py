"""Parameters of MAIL and RCPT, on both machines."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any

import pytest
from hypothesis import given

from smtpproto.errors import GrammarError, NotOffered
from smtpproto.grammar.address import ReversePath
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.parameters import (
    MAIL_CODECS,
    RCPT_CODECS,
    MailParameters,
    RcptParameters,
)
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.scheduling import ByMode, DeliverBy, ValidSince
from smtpproto.limits import Limits
from smtpproto.testing.strategies import mail_parameters, rcpt_parameters
from tests.support.parameters import parse_mail, parse_rcpt

from .machines import (
    MAIL,
    MAIL_COMMAND,
    MAIL_LINE,
    RCPT,
    RCPT_COMMAND,
    RCPT_LINE,
    assert_refused,
    exchange,
    lines_of,
    ready_client,
    ready_server,
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

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
FUTURE_RELEASE = "3600 2030-01-01T00:00:00Z"


@pytest.mark.req("RFC4954-5-02")
@pytest.mark.parametrize("value", [b"<>", b"ann@example.org"])
def test_the_auth_parameter_becomes_empty_without_a_login(value: bytes) -> None:
    server = ready_server(mechanisms=("PLAIN",), secure=True)
    events, sent = server.feed_events(b"MAIL FROM:<a@b.example> AUTH=%s\r\n" % value)
    assert lines_of(sent) == ["250 2.1.0 Sender OK"]
    (mail,) = events
    assert isinstance(mail, Mail)
    assert mail.parameters.auth is not None and mail.parameters.auth.mailbox is None


@given(mail_parameters(), rcpt_parameters())
def test_a_parameter_is_accepted_if_and_only_if_it_was_offered(
    mail: MailParameters, rcpt: RcptParameters
) -> None:
    """The reply is 250 if its keyword is offered, and 555 if not."""
    server = ready_server(**ALL_EXTENSIONS, limits=Limits(message_size=None))
    for command in (Mail(MAIL.path, mail), Rcpt(RCPT.path, rcpt)):
        assert server.codes(bytes(command) + b"\r\n") == [250]
    assert server.machine.transaction.rcpts[0].parameters == rcpt
    server = ready_server(extensions=dict.fromkeys(EXTENSIONS))
    for command in (Mail(MAIL.path, mail), Rcpt(RCPT.path, rcpt)):
        line = bytes(command) + b"\r\n"
        refusal = 500 if len(line) > 512 else 555
        assert server.codes(line) == [refusal if command.parameters.parameters() else 250]
        server.codes(MAIL_LINE)


TWICE = {
    "SIZE": ("1", "2"), "BODY": ("7BIT", "8BITMIME"), "SMTPUTF8": ("",), "AUTH": ("<>", "a@b"),
    "RET": ("FULL", "HDRS"), "ENVID": ("a", "b"), "REQUIRETLS": ("",), "BY": ("9;N", "8;R"),
    "HOLDFOR": ("1", "2"), "HOLDUNTIL": ("2030-01-01T00:00:00Z",), "MT-PRIORITY": ("1", "2"),
    "SOLICIT": ("a.example:x", "b.example:x"), "NOTIFY": ("NEVER", "DELAY"),
    "ORCPT": ("x;a", "x;b"), "RRVS": ("2030-01-01T00:00:00Z",),
}  # fmt: skip


@pytest.mark.req(
    "RFC1870-6-01", "RFC6152-3-01", "RFC3461-5.1-02", "RFC3461-5.1-04", "RFC5321-4.1.1.11-01"
)
@pytest.mark.parametrize("keyword", [*MAIL_CODECS, *RCPT_CODECS])
def test_a_parameter_given_twice_is_refused_with_501(keyword: str) -> None:
    """With the same value or another, in any case, and with others between."""
    values = [f"={value}" if value else "" for value in TWICE[keyword]]
    between = " RET=FULL" if keyword in MAIL_CODECS and keyword != "RET" else ""
    for first, second in product(values, values):
        for again in (keyword, keyword.lower(), keyword.title()):
            server = ready_server(**ALL_EXTENSIONS)
            command = MAIL_COMMAND
            if keyword in RCPT_CODECS:
                command = RCPT_COMMAND
                server.feed(MAIL_LINE)
            text = f" {keyword}{first}{between} {again}{second}\r\n".encode()
            code = "501 5.5.2 " if keyword == "MT-PRIORITY" else "501 5.5.4 "
            assert server.lines(command + text)[0].startswith(code)
            assert server.codes(command + b"\r\n") == [250]


# An example of each parameter, by keyword.
EXAMPLES = {
    "SIZE": "SIZE=1",
    "BODY": "BODY=8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "AUTH": "AUTH=<>",
    "RET": "RET=HDRS",
    "ENVID": "ENVID=x",
    "REQUIRETLS": "REQUIRETLS",
    "BY": "BY=100;R",
    "HOLDFOR": "HOLDFOR=10",
    "HOLDUNTIL": "HOLDUNTIL=2030-01-01T00:00:00Z",
    "MT-PRIORITY": "MT-PRIORITY=0",
    "SOLICIT": "SOLICIT=org.example:ADV",
    "NOTIFY": "NOTIFY=NEVER",
    "ORCPT": "ORCPT=rfc822;a@b.example",
    "RRVS": "RRVS=2020-01-01T00:00:00Z",
}
OFFERED = {
    **{keyword: "" for keyword in EXTENSIONS if keyword not in ("XCLIENT", "XFORWARD")},
    "AUTH": "PLAIN",
    "FUTURERELEASE": "999999999 9999-12-31T23:59:59Z",
}


def command_with(keyword: str) -> Mail | Rcpt:
    """Return MAIL or RCPT with the parameter *keyword*."""
    if keyword in MAIL_CODECS:
        return Mail(MAIL.path, parse_mail(EXAMPLES[keyword]))
    return Rcpt(RCPT.path, parse_rcpt(EXAMPLES[keyword]))


@pytest.mark.req("RFC5321-4.1.1.2-03", "RFC5321-4.1.1.3-06")
@pytest.mark.parametrize("keyword", [*MAIL_CODECS, *RCPT_CODECS])
def test_a_client_sends_each_parameter_only_if_its_extension_was_offered(keyword: str) -> None:
    command = command_with(keyword)
    adding = {
        row.keyword
        for row in EXTENSIONS.values()
        if keyword in row.mail_parameters | row.rcpt_parameters
    }
    for extensions, allowed in (
        (set(OFFERED), True),
        (OFFERED.keys() - adding, False),
        ((), False),
    ):
        lines = [f"{name} {OFFERED[name]}".rstrip() for name in OFFERED if name in extensions]
        client = ready_client(*lines, secure=True)
        if isinstance(command, Rcpt):
            exchange(client, MAIL)
        if allowed:
            client.send(command)
            assert client.data_to_send() == bytes(command) + b"\r\n"
        else:
            assert_refused(client, lambda c=client: c.send(command), NotOffered, match=keyword)  # type: ignore[misc]


@pytest.mark.req("RFC5321-4.1.1.11-01")
@pytest.mark.parametrize("keyword", [*MAIL_CODECS, *RCPT_CODECS, "X", "FOO"])
def test_a_server_answers_each_parameter_that_it_did_not_offer_with_555(keyword: str) -> None:
    example = EXAMPLES.get(keyword, f"{keyword}=1").encode()
    server = ready_server(extensions=dict.fromkeys(EXTENSIONS))
    if keyword not in RCPT_CODECS:
        assert server.codes(b"MAIL FROM:<> %s\r\n" % example) == [555]
        assert server.codes(b"MAIL FROM:<> %s\r\n" % example.partition(b"=")[0]) == [555]
    assert server.codes(b"MAIL FROM:<>\r\n") == [250]
    if keyword not in MAIL_CODECS:
        assert server.codes(RCPT_LINE[:-2] + b" %s\r\n" % example) == [555]
    assert server.codes(RCPT_LINE) == [250], "the session goes on"


@pytest.mark.req("RFC2852-3-01", "RFC2852-4-03")
@pytest.mark.parametrize(
    ("by", "code"),
    [
        (b"239;R", 555), (b"240;R", 250), (b"239;N", 250), (b"0;N", 250), (b"-1;N", 250),
        (b"0;R", 501), (b"-1;R", 501), (b"239;RT", 555), (b"1", 501),
    ],
)  # fmt: skip
def test_deliver_by_times_are_checked_against_the_offer(by: bytes, code: int) -> None:
    server = ready_server(extensions={"DELIVERBY": "240"})
    assert server.codes(MAIL_COMMAND + b" BY=" + by + b"\r\n") == [code]


@pytest.mark.req("RFC2852-4-04")
@pytest.mark.parametrize("code", [455, 555])
def test_the_application_may_refuse_a_deliver_by_time(code: int) -> None:
    refusal = Reply(code, None, "Cannot")
    server = ready_server(extensions={"DELIVERBY": ""}, application=reply_to(Mail, refusal))
    assert server.codes(MAIL_COMMAND + b" BY=300;R\r\n") == [code]
    assert isinstance(server.events[0], Mail)
    assert server.events[0].parameters.by == DeliverBy(300, ByMode.RETURN)


@pytest.mark.req("RFC4865-4.2-03")
@pytest.mark.parametrize(
    ("held", "code"),
    [
        (b"HOLDFOR=3600", 250), (b"HOLDFOR=3601", 501), (b"HOLDFOR=0", 501),
        (b"HOLDUNTIL=2030-01-01T00:00:00Z", 250), (b"HOLDUNTIL=2030-01-01T00:00:01Z", 501),
        (b"HOLDFOR=1 HOLDUNTIL=2029-01-01T00:00:00Z", 501), (b"HOLDFOR", 501),
        (b"HOLDFOR=1 HOLDFOR=1", 501), (b"HOLDUNTIL=tomorrow", 501), (b"HOLDFOR=1000000000", 501),
    ],
)  # fmt: skip
def test_future_release_times_are_checked_against_the_offer(held: bytes, code: int) -> None:
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


def test_a_client_sends_no_deliver_by_time_below_the_minimum() -> None:
    client = ready_client("DELIVERBY 240", "DSN")
    soon = Mail(MAIL.path, MailParameters(by=DeliverBy(239, ByMode.RETURN)))
    assert_refused(client, lambda: client.send(soon), NotOffered, match="minimum")
    exchange(client, Mail(MAIL.path, MailParameters(by=DeliverBy(240, ByMode.RETURN))))


@pytest.mark.req("RFC6710-4.1-01")
@pytest.mark.parametrize(
    ("value", "code"),
    [(b"=9", 250), (b"=-9", 250), (b"=0", 250), (b"=10", 501), (b"=+1", 501), (b"", 501)],
)
def test_priorities_from_minus_9_to_9_are_accepted(value: bytes, code: int) -> None:
    server = ready_server(extensions={"MT-PRIORITY": ""})
    lines = server.lines(MAIL_COMMAND + b" MT-PRIORITY" + value + b"\r\n")
    assert lines[0].startswith("250 " if code == 250 else "501 5.5.2 ")


@pytest.mark.parametrize("login", [False, True])
def test_auth_and_positive_priorities_are_dropped_without_a_login(login: bool) -> None:
    """AUTH becomes ``<>`` (RFC 4954 5), and a priority above 0 becomes 0 (RFC 6710 4.1)."""
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
def test_an_empty_auth_parameter_needs_no_login() -> None:
    server = ready_server(**ALL_EXTENSIONS)
    assert server.codes(MAIL_COMMAND + b" AUTH=<>\r\n") == [250]


@pytest.mark.req("RFC8689-2-06", "RFC8689-4.1-01")
def test_a_server_offers_requiretls_only_under_tls() -> None:
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
def test_a_client_sends_requiretls_only_under_tls() -> None:
    mail = Mail(MAIL.path, MailParameters(requiretls=True))
    for client in (ready_client("REQUIRETLS"), ready_client(secure=True)):
        assert_refused(client, partial(client.send, mail), NotOffered, match="REQUIRETLS")
    client = ready_client("REQUIRETLS", secure=True)
    client.send(mail)
    assert client.data_to_send() == MAIL_COMMAND + b" REQUIRETLS\r\n"


@pytest.mark.req("RFC3865-2.3-01", "RFC7293-3-02")
@pytest.mark.parametrize(
    ("command", "keyword"),
    [
        (Mail(MAIL.path, MailParameters(solicit=("org.example:ADV",))), "NO-SOLICITING"),
        (Rcpt(RCPT.path, RcptParameters(rrvs=ValidSince(NEW_YEAR))), "RRVS"),
    ],
    ids=["SOLICIT", "RRVS"],
)
def test_a_client_sends_a_parameter_only_if_its_extension_is_offered(
    command: Mail | Rcpt, keyword: str
) -> None:
    for offers, offered in (([], False), ([keyword], True)):
        client = ready_client(*offers)
        if isinstance(command, Rcpt):
            exchange(client, MAIL)
        if offered:
            client.send(command)
            assert client.data_to_send() == bytes(command) + b"\r\n"
        else:
            assert_refused(client, partial(client.send, command), NotOffered)


@pytest.mark.req("RFC3865-2.3-02")
def test_no_soliciting_adds_1007_octets_to_the_line_of_mail() -> None:
    alone = dict.fromkeys(EXTENSIONS) | {"NO-SOLICITING": ""}
    line = MAIL_COMMAND + b" SOLICIT=" + b"x" * 1000
    for size, code in ((512 + 1007, 250), (512 + 1008, 500)):
        server = ready_server(extensions=alone)
        assert server.codes(line.ljust(size - 2) + b"\r\n") == [code]


@pytest.mark.req("RFC7293-3-03")
def test_rrvs_occurs_at_most_once() -> None:
    server = ready_server(MAIL_LINE, extensions={"RRVS": ""})
    rcpt = RCPT_LINE.removesuffix(b"\r\n") + b" RRVS=2014-04-03T23:01:00Z"
    assert server.codes(rcpt + b" RRVS=2014-04-03T23:01:00Z\r\n", rcpt + b"\r\n") == [501, 250]


@pytest.mark.req("RFC4865-5.2-01/server")
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        (b"HOLDFOR=50 BY=50;R", 250), (b"HOLDFOR=51 BY=50;R", 501), (b"BY=50;N HOLDFOR=51", 501),
        (b"HOLDFOR=1 BY=-5;N", 501),
    ],
)  # fmt: skip
def test_a_message_must_be_released_before_the_time_to_deliver_it(
    parameters: bytes, code: int
) -> None:
    offered = {"FUTURERELEASE": FUTURE_RELEASE, "DELIVERBY": ""}
    server = ready_server(extensions=offered)
    assert server.codes(MAIL_COMMAND + b" " + parameters + b"\r\n") == [code]


@pytest.mark.req("RFC4865-5.2-01/client")
def test_a_client_cannot_send_a_message_released_after_the_time_to_deliver_it() -> None:
    client = ready_client("FUTURERELEASE " + FUTURE_RELEASE, "DELIVERBY")
    by = DeliverBy(50, ByMode.RETURN)
    with pytest.raises(GrammarError, match="HOLDFOR"):
        client.send(Mail(MAIL.path, MailParameters(hold_for=51, by=by)))
    client.send(Mail(MAIL.path, MailParameters(hold_for=50, by=by)))
