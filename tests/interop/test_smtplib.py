"""Python's smtplib sends to our servers."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

import pytest

from tests.interop.contents import CONTENTS, PLAIN
from tests.interop.our_server import LOGIN, Inbox, login_options, serving
from tests.interop.programs import Certificate
from tests.interop.smtplib_client import dial, dial_tls

pytestmark = pytest.mark.peer("smtplib")

SENDER, RECIPIENT = "ann@a.test", "bob@b.test"


def test_content_arrives_octet_for_octet(adapter: str, content: bytes, inbox: Inbox) -> None:
    options = [] if content.isascii() else ["BODY=8BITMIME"]
    with serving(adapter, inbox) as port, dial(port) as client:
        assert client.sendmail(SENDER, RECIPIENT, content, options) == {}
        arrival = inbox.next()
    assert arrival.body == content
    assert (arrival.sender, arrival.recipients) == (SENDER, [RECIPIENT])
    assert arrival.session.tls is None


def test_line_ends_of_smtplib_arrive_as_crlf(adapter: str, inbox: Inbox) -> None:
    with serving(adapter, inbox) as port, dial(port) as client:
        client.sendmail(SENDER, RECIPIENT, "Subject: x\n\n.\ntwo\rthree\r\nfour, no line end")
        assert inbox.next().body == b"Subject: x\r\n\r\n.\r\ntwo\r\nthree\r\nfour, no line end\r\n"


def test_many_messages_arrive_in_one_session(adapter: str, inbox: Inbox) -> None:
    with serving(adapter, inbox) as port, dial(port) as client:
        for content in CONTENTS.values():
            client.sendmail(SENDER, RECIPIENT, content)
            assert inbox.next().body == content
            assert client.noop()[0] == 250


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "SMTP_SSL"])
@pytest.mark.parametrize("initial_response", [True, False], ids=["initial-response", "challenged"])
def test_a_login_over_tls_is_required(
    adapter: str, implicit: bool, initial_response: bool, inbox: Inbox, certificate: Certificate
) -> None:
    with (
        serving(adapter, inbox, **login_options(certificate, implicit_tls=implicit)) as port,
        dial_tls(port, certificate, implicit=implicit) as client,
    ):
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            client.sendmail(SENDER, RECIPIENT, PLAIN)
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login(LOGIN[0], "guess")
        assert client.login(*LOGIN, initial_response_ok=initial_response)[0] == 235
        assert client.esmtp_features["auth"].split() == ["PLAIN"]
        client.sendmail(SENDER, RECIPIENT, PLAIN)
        arrival = inbox.next()
    assert arrival.body == PLAIN
    assert arrival.session.user == LOGIN[0]
    assert arrival.session.tls is not None


def test_utf8_addresses_and_header_arrive(adapter: str, inbox: Inbox) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "żółw@a.test", "jürgen@bücher.test"
    message["Subject"] = "葉"
    message.set_content(".\nGrüße\n", cte="8bit")
    with serving(adapter, inbox) as port, dial(port) as client:
        assert client.send_message(message) == {}
        arrival = inbox.next()
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", ["jürgen@bücher.test"])
    assert arrival.envelope.parameters.smtputf8
    assert "\r\nSubject: 葉\r\n".encode() in arrival.body
    assert arrival.body.endswith("\r\n\r\n.\r\nGrüße\r\n".encode())


def test_a_refused_recipient_does_not_end_the_session(adapter: str, inbox: Inbox) -> None:
    with serving(adapter, inbox) as port, dial(port) as client:
        refused = client.sendmail(SENDER, ["refused@b.test", RECIPIENT], PLAIN)
        assert refused == {"refused@b.test": (550, b"5.1.1 No such mailbox")}
        assert inbox.next().recipients == [RECIPIENT]
        with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.1\.1"):
            client.sendmail(SENDER, "refused@b.test", PLAIN)
        client.sendmail(SENDER, RECIPIENT, PLAIN)
        assert inbox.next().body == PLAIN
