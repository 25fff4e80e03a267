"""Parameters of DSN (RFC 3461) and ORCPT in UTF-8 (RFC 6533)."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto.errors import GrammarError, NotOffered
from smtpproto.events import BodyEnd
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.dsn import OriginalRecipient
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.parameters import RcptParameters
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.xtext import encode_xtext

from .machines import (
    MAIL,
    MAIL_COMMAND,
    MAIL_LINE,
    RCPT,
    RCPT_COMMAND,
    assert_refused,
    exchange,
    ready_client,
    ready_server,
    reply_to,
)

DSN: dict[str, Any] = {"extensions": {"DSN": ""}}

UTF8_ONLY = OriginalRecipient("utf-8", "\u7528" * 70)  # too long when written in ASCII

MAIL_DSN = [b"", b" RET=FULL", b" RET=HDRS ENVID=QQ314159", b" ENVID=+2B"]
RCPT_DSN = [b"", b" NOTIFY=NEVER", b" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b", b" ORCPT=x;y"]


@pytest.mark.req(
    "RFC3461-5.1-01", "RFC3461-5.1-03", "RFC3461-5.1-05", "RFC3461-5.1-06", "RFC3461-4.4-03"
)
def test_dsn_parameters_change_no_reply() -> None:
    """The replies to accepted and refused senders and recipients are the same, for the null path
    and ``<Postmaster>`` too, and also if an ENVID occurs again."""

    def replies(kind: type, mail: bytes, rcpt: bytes) -> list[str]:
        server = ready_server(**DSN, application=reply_to(kind, Reply(550, "5.1.1", "Unknown")))
        postmaster = b"RCPT TO:<Postmaster>" + rcpt
        lines = []
        for command in (MAIL_COMMAND, b"MAIL FROM:<>", MAIL_COMMAND):
            message = [command + mail, RCPT_COMMAND + rcpt, postmaster, b"DATA", b".", b"RSET", b""]
            lines += server.lines(b"\r\n".join(message))
        return lines

    for kind in (Mail, Rcpt, BodyEnd):
        seen = {tuple(replies(kind, mail, rcpt)) for mail in MAIL_DSN for rcpt in RCPT_DSN}
        assert seen == {tuple(replies(kind, b"", b""))}


@pytest.mark.req("RFC3461-4.4-03")
@pytest.mark.parametrize("envid", ["a", " ", " a ", "a  b", "<>", "=", "NEVER", "MAIL FROM:<x@y>"])
def test_the_application_sees_each_envid_unchanged(envid: str) -> None:
    server = ready_server(**DSN)
    line = MAIL_COMMAND + b" ENVID=" + encode_xtext(envid).encode() + b"\r\n"
    assert server.codes(line) == [250]
    assert server.machine.envelope.parameters.envid == envid


@pytest.mark.req("RFC3461-4.2-06")
def test_the_address_of_orcpt_is_not_checked() -> None:
    server = ready_server(MAIL_LINE, **DSN)
    line = RCPT_COMMAND + b" ORCPT=rfc822;not+20an+20address\r\n"
    assert server.codes(line) == [250]
    assert server.machine.transaction.rcpts[0].parameters.orcpt == OriginalRecipient(
        "rfc822", "not an address"
    )


@pytest.mark.req("RFC6533-3-01")
def test_orcpt_may_be_utf_8_if_dsn_and_smtputf8_are_offered() -> None:
    orcpt = " ORCPT=utf-8;\u7528\u6237@\u4f8b\u3048.jp".encode()
    assert ready_server(MAIL_LINE, **DSN).codes(RCPT_COMMAND + orcpt + b"\r\n") == [250]
    alone = ready_server(MAIL_LINE, extensions={"DSN": "", "SMTPUTF8": None})
    assert alone.codes(RCPT_COMMAND + b" ORCPT=utf-8;\\x{7528}@b.example\r\n") == [250]
    assert alone.lines(RCPT_COMMAND + b" ORCPT=" + str(UTF8_ONLY).encode() + b"\r\n") == [
        "501 5.5.4 ORCPT needs SMTPUTF8"
    ], "an address that cannot be written in ASCII is refused"


@pytest.mark.req("RFC6533-3-02")
def test_a_client_sends_orcpt_in_ascii_if_smtputf8_is_not_offered() -> None:
    client = ready_client("DSN")
    exchange(client, MAIL)
    long = Rcpt(RCPT.path, RcptParameters(orcpt=UTF8_ONLY))
    assert_refused(client, lambda: client.send(long), NotOffered, match="SMTPUTF8")
    client.send(Rcpt(RCPT.path, RcptParameters(orcpt=OriginalRecipient("utf-8", "\u7528@b"))))
    assert client.data_to_send() == RCPT_COMMAND + b" ORCPT=utf-8;\\x{7528}@b\r\n"


@pytest.mark.req("RFC3461-5.4-03")
@pytest.mark.parametrize("size", [1035, 1036])
def test_lines_with_dsn_parameters_may_have_1036_octets(size: int) -> None:
    """Path, NOTIFY and ORCPT at their longest; the rest is filled with blanks."""
    server = ready_server(MAIL_LINE, **DSN)
    path = b"a" * 64 + b"@" + b"b" * 63 + b"." + b"c" * 63 + b"." + b"d" * 59
    line = b"RCPT TO:<" + path + b"> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;"
    line += b"e" * 480
    assert server.codes(line.ljust(size - 2) + b"\r\n") == [250]
    line = MAIL_COMMAND + b" RET=FULL ENVID=" + b"e" * 94
    assert ready_server(**DSN).codes(line.ljust(size - 2) + b"\r\n") == [250]
    alone = ready_server(extensions=dict.fromkeys(EXTENSIONS) | {"DSN": ""})
    assert alone.codes(line.ljust(size - 2) + b"\r\n", b"RSET\r\n") == [250, 250]
    assert alone.codes(line.ljust(1037 - 2) + b"\r\n") == [500]


@pytest.mark.req("RFC3461-5.4-01")
@pytest.mark.parametrize(
    ("parameter", "size"),
    [
        (b"ENVID=".ljust(100, b"e"), 100),
        (b"RET=FULL", 8),
        (b"NOTIFY=SUCCESS,FAILURE,DELAY", 28),
        (b"ORCPT=rfc822;".ljust(500, b"o"), 500),
        (b"ORCPT=rfc822;" + b"+2B" * 162 + b"o", 500),
    ],
)
def test_parameters_of_the_required_lengths_are_accepted(parameter: bytes, size: int) -> None:
    """The lengths include the keyword and "="."""
    assert len(parameter) == size
    for offered in ({}, dict.fromkeys(EXTENSIONS)):
        server = ready_server(extensions=offered | {"DSN": ""})
        if parameter[:1] in b"RE":
            assert server.codes(MAIL_COMMAND + b" " + parameter + b"\r\n") == [250]
        else:
            assert server.codes(MAIL_LINE, RCPT_COMMAND + b" " + parameter + b"\r\n") == [250, 250]


@pytest.mark.req("RFC3461-5.1-02", "RFC3461-5.1-04")
@pytest.mark.parametrize(
    "parameters",
    [
        "RET", "RET=", "RET=BODY", "RET=FULL,HDRS", "RET=FUL", "RET=FULL RET=FULL",
        "RET=FULL ENVID=a ret=HDRS", "ENVID", "ENVID=", "ENVID=a+zz", "ENVID=a+2b", "ENVID=a+0A",
        "ENVID=+7F", "ENVID=+C3+A9", "ENVID=a=b", "ENVID=\u00e9", "ENVID=" + "e" * 101,
        "ENVID=" + "+41" * 34, "ENVID=a ENVID=a", "ENVID=a RET=HDRS envid=b",
        "NOTIFY", "NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=ALWAYS", "NOTIFY=DELAY NOTIFY=DELAY",
        "ORCPT", "ORCPT=", "ORCPT=a@b", "ORCPT=;a", "ORCPT=rfc822;a+b", "ORCPT=rfc822;a orcpt=x;b",
    ],
)  # fmt: skip
def test_bad_dsn_parameters_are_refused_with_501(parameters: str) -> None:
    """The command changes nothing: it can be sent again without them."""
    server = ready_server(**DSN)
    command = MAIL_COMMAND
    if parameters.startswith(("NOTIFY", "ORCPT")):
        command = RCPT_COMMAND
        server.feed(MAIL_LINE)
    line = command + b" " + parameters.encode() + b"\r\n"
    assert server.lines(line)[0].startswith("501 5.5.4 ")
    assert server.codes(command + b"\r\n") == [250]


@pytest.mark.req("RFC3461-4.2-03/server")
def test_an_orcpt_that_decodes_to_anything_but_printable_ascii_is_refused() -> None:
    for octet in range(256):
        server = ready_server(MAIL_LINE, **DSN)
        line = RCPT_COMMAND + b" ORCPT=rfc822;a+%02X@b\r\n" % octet
        assert server.codes(line) == [250 if 32 <= octet <= 126 else 501]


@pytest.mark.req("RFC3461-4.2-03/client")
def test_a_client_cannot_send_an_orcpt_of_anything_but_printable_ascii() -> None:
    client = ready_client("DSN")
    exchange(client, MAIL)
    for number in (*range(0x250), 0x7528, 0x1F600):
        address = f"a{chr(number)}@b"
        if 32 <= number <= 126:
            orcpt = OriginalRecipient("rfc822", address)
            exchange(client, Rcpt(RCPT.path, RcptParameters(orcpt=orcpt)))
        else:
            with pytest.raises(GrammarError):
                OriginalRecipient("rfc822", address)
