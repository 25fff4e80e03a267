"""Python's own smtplib sends to each of our servers."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

import pytest

from tests.interop.peers import CONTENTS, LOGIN, PLAIN, Accounts, Inbox, serving
from tests.interop.programs import Certificate

pytestmark = pytest.mark.peer("smtplib")

SENDER, RECIPIENT = "ann@a.test", "bob@b.test"


def dial(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", port, timeout=10)


def dial_tls(port: int, certificate: Certificate, *, implicit: bool) -> smtplib.SMTP:
    if implicit:
        return smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=certificate.client)
    client = dial(port)
    client.starttls(context=certificate.client)
    return client


def test_content_arrives_octet_for_octet(flavour: str, content: bytes, inbox: Inbox) -> None:
    options = [] if content.isascii() else ["BODY=8BITMIME"]
    with serving(flavour, inbox) as port, dial(port) as client:
        assert client.sendmail(SENDER, RECIPIENT, content, options) == {}
        arrival = inbox.next()
    assert arrival.body == content
    assert (arrival.sender, arrival.recipients) == (SENDER, [RECIPIENT])
    assert arrival.session.tls is None


def test_smtplib_makes_every_line_end_crlf(flavour: str, inbox: Inbox) -> None:
    with serving(flavour, inbox) as port, dial(port) as client:
        client.sendmail(SENDER, RECIPIENT, "Subject: x\n\n.\ntwo\rthree\r\nfour, unended")
        assert inbox.next().body == b"Subject: x\r\n\r\n.\r\ntwo\r\nthree\r\nfour, unended\r\n"


def test_many_messages_in_one_session(flavour: str, inbox: Inbox) -> None:
    with serving(flavour, inbox) as port, dial(port) as client:
        for content in CONTENTS.values():
            client.sendmail(SENDER, RECIPIENT, content)
            assert inbox.next().body == content
            assert client.noop()[0] == 250


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "SMTP_SSL"])
@pytest.mark.parametrize("at_once", [True, False], ids=["initial-response", "challenged"])
def test_tls_and_login(
    flavour: str, implicit: bool, at_once: bool, inbox: Inbox, certificate: Certificate
) -> None:
    with (
        serving(
            flavour,
            inbox,
            context=certificate.server,
            implicit_tls=implicit,
            require_tls=True,
            require_auth=True,
            authenticator=Accounts(),
            mechanisms="PLAIN",
        ) as port,
        dial_tls(port, certificate, implicit=implicit) as client,
    ):
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            client.sendmail(SENDER, RECIPIENT, PLAIN)
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login(LOGIN[0], "guess")
        assert client.login(*LOGIN, initial_response_ok=at_once)[0] == 235
        assert client.esmtp_features["auth"].split() == ["PLAIN"]
        client.sendmail(SENDER, RECIPIENT, PLAIN)
        arrival = inbox.next()
    assert arrival.body == PLAIN
    assert arrival.session.user == LOGIN[0]
    assert arrival.session.tls is not None


def test_address_and_header_in_utf8(flavour: str, inbox: Inbox) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "żółw@a.test", "jürgen@bücher.test"
    message["Subject"] = "葉"
    message.set_content(".\nGrüße\n", cte="8bit")
    with serving(flavour, inbox) as port, dial(port) as client:
        assert client.send_message(message) == {}
        arrival = inbox.next()
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", ["jürgen@bücher.test"])
    assert arrival.envelope.parameters.smtputf8
    assert "\r\nSubject: 葉\r\n".encode() in arrival.body
    assert arrival.body.endswith("\r\n\r\n.\r\nGrüße\r\n".encode())


def test_refused_recipient(flavour: str, inbox: Inbox) -> None:
    with serving(flavour, inbox) as port, dial(port) as client:
        refused = client.sendmail(SENDER, ["refused@b.test", RECIPIENT], PLAIN)
        assert refused == {"refused@b.test": (550, b"5.1.1 No such mailbox")}
        assert inbox.next().recipients == [RECIPIENT]
        with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.1\.1"):
            client.sendmail(SENDER, "refused@b.test", PLAIN)
        client.sendmail(SENDER, RECIPIENT, PLAIN)  # the session goes on
        assert inbox.next().body == PLAIN
