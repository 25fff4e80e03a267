"""What is planned is what is sent: the rules one by one."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.mime.text import MIMEText

import pytest
from attrs import evolve

from smtpproto import (
    Body,
    Envelope,
    Extensions,
    ForwardPath,
    GrammarError,
    MailParameters,
    NotOffered,
    RcptParameters,
)
from smtpproto.client.connection import Client
from smtpproto.grammar.dsn import Notify, OriginalRecipient, Ret
from smtpproto.grammar.envelope import Recipient
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.mail.planning import CHUNK, plan
from smtpproto.mail.preparation import Source

from ..support.envelopes import TO_BOB
from ..support.lenient_server import ALL, FORMS, TO_FIVE, Obliging, converse, said


def lines(
    offered: Mapping[str, str], envelope: Envelope = TO_BOB, body: Source = b"hello\r\n"
) -> list[str]:
    """The lines that are sent for a message, each of them also planned."""
    stream = Obliging(Extensions(offered))

    async def talk(client: Client) -> None:
        planned = client.plan(body, envelope)
        await client.send(body, envelope)
        assert said(planned) == stream.commands

    converse(stream, talk)
    return stream.commands


def mail_line(
    offered: Mapping[str, str], envelope: Envelope = TO_BOB, body: Source = b"hello\r\n"
) -> str:
    return lines(offered, envelope, body)[0].removeprefix("MAIL FROM:")


def refused(
    offered: Mapping[str, str], envelope: Envelope = TO_BOB, body: Source = b"hello\r\n"
) -> str:
    """Why a message cannot be sent; nothing is."""
    stream, why = Obliging(Extensions(offered)), []

    async def talk(client: Client) -> None:
        for attempt in (client.plan, client.send):
            with pytest.raises(NotOffered) as caught:
                if (waiting := attempt(body, envelope)) is not None:
                    await waiting  # type: ignore[misc]
            why.append(caught.value.message)

    converse(stream, talk)
    assert stream.commands == [] and why[0] == why[1]
    return why[0]


def with_parameters(**values: object) -> Envelope:
    return evolve(TO_BOB, parameters=MailParameters(**values))  # type: ignore[arg-type]


UTF8 = {"8BITMIME": "", "SMTPUTF8": ""}


@pytest.mark.req("RFC6531-3.4-01", "RFC6531-3.4-02", "RFC6531-3.6-01")
@pytest.mark.parametrize(
    ("envelope", "body", "line"),
    [
        (TO_BOB, b"hello\r\n", "<ann@example.org>"),
        (TO_BOB, "Subject: x\n\nhellø\n".encode(), "<ann@example.org> BODY=8BITMIME"),
        (TO_BOB, "Subject: ø\n\nhello\n".encode(), "<ann@example.org> BODY=8BITMIME SMTPUTF8"),
        (Envelope("ann@example.org", "bøb@example.org"), b"hello\n", "<ann@example.org> SMTPUTF8"),
        (Envelope("ånn@example.org", "bob@example.org"), b"hello\n", "<ånn@example.org> SMTPUTF8"),
        (Envelope("ann@example.org", "bob@bücher.example"), b"x\n", "<ann@example.org> SMTPUTF8"),
        (Envelope("", "bob@xn--bcher-kva.example"), b"hello\n", "<>"),
        (with_parameters(smtputf8=True), b"hello\n", "<ann@example.org> SMTPUTF8"),
    ],
)
def test_smtputf8_is_asked_for_only_if_needed(envelope: Envelope, body: bytes, line: str) -> None:
    assert mail_line(UTF8, envelope, body) == line


@pytest.mark.req("RFC6531-3.2-05", "RFC6531-3.2-12")
def test_without_smtputf8_what_needs_it_is_not_sent() -> None:
    eight_bit = {"8BITMIME": ""}
    for recipient in ("bøb@example.org", "bob@bücher.example"):
        assert "SMTPUTF8" in refused(eight_bit, Envelope("ann@example.org", recipient))
    assert "SMTPUTF8" in refused(eight_bit, body="Subject: ø\n\nhello\n".encode())
    ascii_only = Envelope("ann@example.org", "bob@xn--bcher-kva.example")
    assert lines(eight_bit, ascii_only) == lines(UTF8, ascii_only)


@pytest.mark.req("RFC1870-4-01", "RFC5321-4.5.3.1.7-03", "RFC1870-6-02")
def test_size_is_what_will_be_sent() -> None:
    assert mail_line({}) == "<ann@example.org>"
    assert mail_line({"SIZE": ""}) == "<ann@example.org> SIZE=7"
    assert mail_line({"SIZE": ""}, body=b".hello\n.\nyou") == "<ann@example.org> SIZE=16"
    assert mail_line({"SIZE": ""}, body=iter([b"hello\n"])) == "<ann@example.org>"
    guess = with_parameters(size=9)
    assert mail_line({"SIZE": ""}, guess, iter([b"hello\n"])) == "<ann@example.org> SIZE=9"
    assert mail_line({"SIZE": ""}, guess, b"hello\n") == "<ann@example.org> SIZE=7"


@pytest.mark.req("RFC1870-7-01")
def test_a_message_that_is_too_big_for_the_server() -> None:
    assert mail_line({"SIZE": "7"}) == "<ann@example.org> SIZE=7"
    assert "7 octets; the server accepts at most 6" in refused({"SIZE": "6"})
    assert mail_line({"SIZE": "0"}) == "<ann@example.org> SIZE=7"  # no fixed maximum


def test_eight_bits_need_8bitmime() -> None:
    body = "Subject: x\n\nhellø\n".encode()
    assert "8BITMIME" in refused({}, body=body)
    assert mail_line({"8BITMIME": ""}, body=body) == "<ann@example.org> BODY=8BITMIME"
    assert mail_line({"8BITMIME": ""}) == "<ann@example.org>"
    # what cannot be known before is declared
    assert mail_line({"8BITMIME": ""}, body=iter([b"x"])) == "<ann@example.org> BODY=8BITMIME"


def eight_bit_message(kind: str) -> EmailMessage | MIMEText:
    if kind == "old":
        old = MIMEText("hellø\n", "plain", "utf-8", policy=policy.SMTP)
        old.replace_header("Content-Transfer-Encoding", "8bit")
        old.set_payload("hellø\n".encode())
        return old
    message = EmailMessage()
    message["Subject"] = "Hellø"
    message.set_content("hellø\n", cte="8bit")
    if kind == "multipart":
        message.add_alternative("<p>hellø</p>\n", "html", cte="8bit")
    return message


@pytest.mark.req("RFC6531-3.2-06")
@pytest.mark.parametrize("kind", ["plain", "multipart"])
def test_an_email_object_is_written_in_seven_bits_where_eight_are_not_offered(kind: str) -> None:
    message = eight_bit_message(kind)
    planned = plan(message, TO_BOB, Extensions({"SIZE": ""}))
    assert isinstance(planned.content.source, bytes) and planned.content.source.isascii()
    assert mail_line({}, body=message) == "<ann@example.org>"
    wide = plan(message, TO_BOB, Extensions({"8BITMIME": ""}))
    assert isinstance(wide.content.source, bytes) and "hellø".encode() in wide.content.source
    assert mail_line({"8BITMIME": ""}, body=message) == "<ann@example.org> BODY=8BITMIME"


BINARY = with_parameters(body=Body.BINARY_MIME)


@pytest.mark.req("RFC3030-3-09", "RFC3030-3-10", "RFC3030-3-07")
def test_binary_content_goes_as_it_is_by_bdat_or_not_at_all() -> None:
    body = bytes(range(256)) + b"\n\r.\r\n.\r\n\n"
    for missing in ({}, {"CHUNKING": ""}, {"BINARYMIME": ""}, {"8BITMIME": "", "CHUNKING": ""}):
        assert "BINARYMIME" in refused(missing, BINARY, body)
    stream = Obliging(Extensions({"CHUNKING": "", "BINARYMIME": "", "PIPELINING": ""}))
    converse(stream, lambda client: client.send(body, BINARY))
    assert stream.contents == [body]
    assert stream.commands == [
        "MAIL FROM:<ann@example.org> BODY=BINARYMIME",
        "RCPT TO:<bob@example.org>",
        f"BDAT {len(body)} LAST",
    ]


def text(size: int) -> bytes:
    """So many octets in lines of 64, the last of which has no end."""
    whole = (size - 1) // 64
    return (b"x" * 62 + b"\r\n") * whole + b"x" * (size - 64 * whole)


@pytest.mark.req("RFC3030-2-03", "RFC3030-2-04", "RFC3030-2-07", "RFC3030-2-17", "RFC3030-2-21")
def test_chunks_where_they_help() -> None:
    """For content of more than one chunk or of unknown size, and where DATA costs a round trip."""
    chunking, pipelining = {"CHUNKING": ""}, {"CHUNKING": "", "PIPELINING": ""}
    assert lines({}, body=b"")[2:] == lines(pipelining)[2:] == ["DATA"]
    assert lines(chunking, body=b"")[2:] == ["BDAT 0 LAST"]
    assert lines(chunking, body=b"a\n")[2:] == ["BDAT 3 LAST"]
    assert lines(pipelining, body=text(CHUNK - 2))[2:] == ["DATA"]
    for size, rest in ((CHUNK - 1, 1), (CHUNK, 2), (2 * CHUNK - 2, CHUNK), (2 * CHUNK - 1, 1)):
        chunks = [f"BDAT {CHUNK}"] * ((size + 2 - rest) // CHUNK)
        assert lines(pipelining, body=text(size))[2:] == [*chunks, f"BDAT {rest} LAST"]
    stream = Obliging(Extensions(pipelining))
    converse(stream, lambda client: client.send(iter([b".a\n", b".\r", b"\nb"]), TO_BOB))
    assert stream.commands[2:] == ["BDAT 10 LAST"]
    assert stream.contents == [b".a\r\n.\r\nb\r\n"]


DSN = {"DSN": ""}


@pytest.mark.req("RFC3461-4.2-02", "RFC5321-4.1.1.3-06", "RFC5321-4.1.1.2-03")
def test_notifications() -> None:
    asked = RcptParameters(notify={Notify.FAILURE, Notify.DELAY})
    envelope = Envelope("ann@example.org", ["b+b@example.org", "postmaster"], rcpt_parameters=asked)
    assert lines(DSN, envelope)[1:3] == [
        "RCPT TO:<b+b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bb@example.org",
        "RCPT TO:<Postmaster> NOTIFY=FAILURE,DELAY",
    ]
    assert "NOTIFY" in refused({}, envelope)
    given = RcptParameters(notify={Notify.NEVER}, orcpt=OriginalRecipient("rfc822", "a@b.example"))
    assert lines(DSN, evolve(TO_BOB, rcpt_parameters=given))[1] == (
        "RCPT TO:<bob@example.org> NOTIFY=NEVER ORCPT=rfc822;a@b.example"
    )
    only = RcptParameters(orcpt=OriginalRecipient("rfc822", "a@b.example"))
    assert "ORCPT" in refused({}, evolve(TO_BOB, rcpt_parameters=only))
    assert mail_line(DSN, with_parameters(ret=Ret.HDRS, envid="a b")).endswith(
        " RET=HDRS ENVID=a+20b"
    )
    assert "RET" in refused({}, with_parameters(ret=Ret.FULL))


def test_an_original_recipient_may_need_smtputf8() -> None:
    """The type utf-8 is written in ASCII only as long as that has room (RFC 6533 3)."""
    long = RcptParameters(orcpt=OriginalRecipient("utf-8", "ø" * 200))
    envelope = evolve(TO_BOB, rcpt_parameters=long)
    assert "SMTPUTF8" in refused(DSN, envelope)
    assert mail_line(DSN | UTF8, envelope) == "<ann@example.org> SMTPUTF8"
    short = RcptParameters(orcpt=OriginalRecipient("utf-8", "ø"))
    assert mail_line(DSN | UTF8, evolve(TO_BOB, rcpt_parameters=short)) == "<ann@example.org>"


def test_original_recipients_that_are_not_ascii() -> None:
    envelope = Envelope(
        "ann@example.org", "bøb@example.org", rcpt_parameters=RcptParameters(notify=[Notify.NEVER])
    )
    assert lines(DSN | UTF8, envelope)[1] == (
        "RCPT TO:<bøb@example.org> NOTIFY=NEVER ORCPT=utf-8;b\\x{F8}b@example.org"
    )


def test_an_original_recipient_that_has_no_room() -> None:
    recipient = f"bob@[x:{'+' * 200}]"
    envelope = Envelope("", recipient, rcpt_parameters=RcptParameters(notify=[Notify.NEVER]))
    assert lines(DSN, envelope)[1] == f"RCPT TO:<{recipient}> NOTIFY=NEVER"


@pytest.mark.req("RFC8689-2-03", "RFC8689-2-05")
def test_requiretls_needs_tls_and_the_keyword() -> None:
    envelope, offered = with_parameters(requiretls=True), {"REQUIRETLS": ""}
    assert "REQUIRETLS" in refused(offered, envelope)  # in clear
    for given in (offered, {}):
        stream = Obliging(Extensions(given))

        async def talk(client: Client, given: Mapping[str, str] = given) -> None:
            if given:
                await client.send(b"hello\n", envelope)
            else:
                with pytest.raises(NotOffered, match="REQUIRETLS"):
                    await client.send(b"hello\n", envelope)

        converse(stream, talk, secure=True)
        first = "MAIL FROM:<ann@example.org> REQUIRETLS"
        assert stream.commands[:1] == ([first] if given else [])


def test_deliver_by() -> None:
    for mode, seconds, sent in (
        (ByMode.RETURN, 240, True),
        (ByMode.RETURN, 239, False),
        (ByMode.NOTIFY, 239, True),
        (ByMode.NOTIFY, -5, True),
    ):
        envelope = with_parameters(by=DeliverBy(seconds, mode, True))
        if sent:
            line = f"<ann@example.org> BY={seconds};{mode.value}T"
            assert mail_line({"DELIVERBY": "240"}, envelope) == line
        else:
            assert "below the minimum" in refused({"DELIVERBY": "240"}, envelope)
        assert "BY" in refused({}, envelope)


FUTURE = {"FUTURERELEASE": "86400 2030-01-01T00:00:00Z"}


@pytest.mark.req("RFC4865-4.1-01", "RFC4865-5.1-01")
def test_future_release() -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    held = with_parameters(hold_for=86400)
    assert mail_line(FUTURE, held) == "<ann@example.org> HOLDFOR=86400"
    assert "Held longer" in refused(FUTURE, with_parameters(hold_for=86401))
    line = mail_line(FUTURE, with_parameters(hold_until=until))
    assert line == "<ann@example.org> HOLDUNTIL=2030-01-01T00:00:00Z"
    later = with_parameters(hold_until=until.replace(second=1))
    assert "Held longer" in refused(FUTURE, later)
    with pytest.raises(GrammarError, match="exclude each other"):
        with_parameters(hold_for=1, hold_until=until)
    assert "HOLDFOR" in refused({}, held)
    for null in (evolve(held, sender=""), evolve(with_parameters(hold_until=until), sender="")):
        assert "a message without a sender must not be held" in refused(FUTURE, null)


def test_priorities() -> None:
    envelope = with_parameters(mt_priority=-9)
    assert mail_line({"MT-PRIORITY": "MIXER"}, envelope) == "<ann@example.org> MT-PRIORITY=-9"
    assert "MT-PRIORITY" in refused({}, envelope)


def test_recipients_that_are_given_twice_are_said_once() -> None:
    envelope = Envelope("", ["bob@example.org", '"bob"@example.org', "POSTMASTER", "Postmaster"])
    assert lines({}, envelope)[1:-1] == ["RCPT TO:<bob@example.org>", "RCPT TO:<Postmaster>"]


# -- limits of the session (RFC 9422) --------------------------------------------------------------


def limited(limits: str, *envelopes: Envelope) -> list[list[str]]:
    """What a client sends for each of *envelopes*; nothing for those that the limits exclude."""
    stream, sent = Obliging(Extensions({"LIMITS": limits})), []

    async def talk(client: Client) -> None:
        for envelope in envelopes:
            stream.commands.clear()
            try:
                await client.send(b"hello\n", envelope)
            except NotOffered:
                assert stream.commands == []
            sent.append(list(stream.commands))

    converse(stream, talk)
    return sent


def split(*parts: str) -> list[str]:
    """The commands for recipients named by a letter each."""
    return [
        line
        for part in parts
        for line in (
            "MAIL FROM:<ann@example.org>",
            *(f"RCPT TO:<{name}@example.org>" for name in part),
            "DATA",
        )
    ]


@pytest.mark.req("RFC9422-3-06", "RFC9422-3-02", "RFC9422-3-03")
@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        ("RCPTMAX=2", ["ab", "cd", "e"]),
        ("RCPTMAX=1", ["a", "b", "c", "d", "e"]),
        ("RCPTMAX=5", ["abcde"]),
        ("FOO=1 rcptmax=4", ["abcd", "e"]),
        ("RCPTMAX=x MAILMAX=5", ["abcde"]),
        ("RCPTMAX=2;3", ["abcde"]),
        ("=5 RCPTMAX=2", ["abcde"]),
        ("RCPTMAX=2 MAILMAX=3", ["ab", "cd", "e"]),
        ("RCPTMAX=2 MAILMAX=2", []),
        ("RCPTDOMAINMAX=1", ["abcde"]),
    ],
)
def test_a_message_keeps_within_the_limits(limits: str, parts: list[str]) -> None:
    assert limited(limits, TO_FIVE) == [split(*parts)]


@pytest.mark.req("RFC9422-3-06")
def test_a_connection_keeps_within_the_limits() -> None:
    first, second, third = limited("MAILMAX=2", TO_BOB, TO_BOB, TO_BOB)
    assert first == second != third == []
    assert limited("MAILMAX=2", TO_BOB) == [first]  # on a new connection the third can go
    other = Envelope("ann@example.org", ["bob@EXAMPLE.org", "carl@example.com"])
    both = Envelope("ann@example.org", ["bob@example.org", "postmaster"])
    elsewhere = Envelope("ann@example.org", "carl@example.com")
    sent = limited("RCPTDOMAINMAX=1", TO_BOB, other, both, TO_FIVE, elsewhere)
    assert [bool(commands) for commands in sent] == [True, False, True, True, False]


@pytest.mark.parametrize("form", ["octets", "file", "list"])
def test_each_transaction_has_all_of_the_content(form: str) -> None:
    stream = Obliging(Extensions({"LIMITS": "RCPTMAX=2"}))
    pieces = [b"before", b"hello\r\n", b"there\r\n"]
    source = FORMS[form](pieces)
    if isinstance(source, io.BytesIO):
        source.seek(6)
    converse(stream, lambda client: client.send(source, TO_FIVE))
    content = b"".join(pieces[form == "file" :])
    assert stream.contents == [content] * 3


@pytest.mark.parametrize("form", ["iterator", "async", "pipe"])
def test_what_can_be_read_only_once_is_not_sent_in_several_transactions(form: str) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    def source() -> Source:
        return Pipe(b"hello\n") if form == "pipe" else FORMS[form]([b"hello\n"])

    assert "only once" in refused({"LIMITS": "RCPTMAX=2"}, TO_FIVE, source())
    assert lines({"LIMITS": "RCPTMAX=5"}, TO_FIVE, source()) == split("abcde")


# -- envelopes -------------------------------------------------------------------------------------


def test_parameters_for_all_or_for_some() -> None:
    some = RcptParameters(notify={Notify.NEVER})
    to = ["a@b.example", "c@d.example"]
    a, c = map(ForwardPath.of, to)
    everybody = Envelope("", to, rcpt_parameters=some)
    assert everybody.parameters_of(a) == everybody.parameters_of(c) == some
    assert c.mailbox is not None
    keys: list[Recipient] = ["c@d.example", '"c"@D.example', c, c.mailbox]
    for key in keys:
        one = Envelope("", to, rcpt_parameters={key: some})
        assert one.parameters_of(c) == some and one.parameters_of(a) == RcptParameters()
        assert one.rcpt_parameters == {c: some}
    assert Envelope("", to).rcpt_parameters == {}
    with pytest.raises(GrammarError, match="not a recipient"):
        Envelope("", to, rcpt_parameters={"e@f.example": some})
    with pytest.raises(GrammarError):
        Envelope("", to, rcpt_parameters={"not an address": some})


def _never() -> Iterator[bytes]:
    raise AssertionError("read, though it is only a plan")
    yield b""


def test_a_plan_reads_nothing_that_can_be_read_only_once() -> None:
    assert plan(_never(), TO_BOB, Extensions(ALL)).chunked
