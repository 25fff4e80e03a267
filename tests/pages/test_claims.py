"""What the pages in docs/coming-from say of other libraries is so."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import re
import smtplib
import ssl
import warnings
from collections.abc import Iterator
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller

from smtpproto.testing import SMTPD, Drop, Refuse

LETTER = "From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\r\n"
TO_BOB = ("ann@example.org", ["bob@example.org"], LETTER)

# -- smtplib -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_smtplib_verifies_nothing_without_a_context(tls: Any) -> None:
    with SMTPD(tls=tls, certificate="unknown CA") as smtpd:
        kind = smtplib.SMTP_SSL if tls == "implicit" else smtplib.SMTP
        with kind(smtpd.host, smtpd.port) as client:
            if tls == "starttls":
                client.starttls()
            client.sendmail(*TO_BOB)
        assert smtpd.messages[0].tls is not None


def test_smtplib_logs_in_without_tls_and_prints_the_password() -> None:
    with SMTPD(users={"ann": "secret"}) as smtpd:
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown), smtplib.SMTP(smtpd.host, smtpd.port) as client:
            client.ehlo()
            client.esmtp_features["auth"] = "PLAIN"
            client.set_debuglevel(1)
            client.login("ann", "secret")
        assert "AGFubgBzZWNyZXQ=" in shown.getvalue()  # base64 of \0ann\0secret


def test_smtplib_raises_for_a_lost_reply_as_for_any_lost_connection() -> None:
    with SMTPD(trouble=[Drop(".", stored=True, times=1), Drop("MAIL", times=1)]) as smtpd:
        errors = []
        for _ in range(2):
            with pytest.raises(smtplib.SMTPServerDisconnected) as caught:
                smtplib.SMTP(smtpd.host, smtpd.port).sendmail(*TO_BOB)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
        assert len(smtpd.messages) == 1


def test_smtplib_waits_for_ever_without_a_timeout() -> None:
    with SMTPD() as smtpd, smtplib.SMTP(smtpd.host, smtpd.port) as client:
        assert client.sock is not None
        assert client.sock.gettimeout() is None


# -- aiosmtplib ----------------------------------------------------------------------------------


@pytest.fixture
def untidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ignore what the library leaves open, during the test and before another one finds it."""
    request.node.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def send(smtpd: SMTPD, **options: Any) -> None:
    sender, recipients, letter = TO_BOB
    await aiosmtplib.send(
        letter,
        sender=sender,
        recipients=recipients,
        port=smtpd.port,
        hostname="localhost",
        **options,
    )


@pytest.mark.usefixtures("untidy")
def test_aiosmtplib_logs_in_without_tls_if_the_server_offers_none() -> None:
    with SMTPD(users={"ann": "secret"}) as smtpd:
        asyncio.run(send(smtpd, username="ann", password="secret"))
        assert (smtpd.messages[0].user, smtpd.messages[0].tls) == ("ann", None)


@pytest.mark.usefixtures("untidy")
def test_aiosmtplib_uses_tls_if_it_is_offered_and_verifies_the_server() -> None:
    with SMTPD(tls="starttls") as smtpd:
        asyncio.run(send(smtpd, tls_context=smtpd.client_context))
        assert smtpd.messages[0].tls is not None
    with (
        SMTPD(tls="starttls", certificate="unknown CA") as smtpd,
        pytest.raises((aiosmtplib.SMTPException, ssl.SSLError)),
    ):
        asyncio.run(send(smtpd))


@pytest.mark.usefixtures("untidy")
def test_aiosmtplib_raises_if_all_recipients_are_refused() -> None:
    with (
        SMTPD(trouble=Refuse("RCPT")) as smtpd,
        pytest.raises(aiosmtplib.SMTPRecipientsRefused),
    ):
        asyncio.run(send(smtpd))


@pytest.mark.usefixtures("untidy")
def test_aiosmtplib_raises_for_a_lost_reply() -> None:
    with SMTPD(trouble=Drop(".", stored=True)) as smtpd:
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            asyncio.run(send(smtpd))
        assert len(smtpd.messages) == 1


# -- aiosmtpd ------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(handler: object) -> Iterator[smtplib.SMTP]:
    """Serve *handler* by aiosmtpd; yield a client."""
    controller = Controller(handler, hostname="127.0.0.1", port=8025)
    controller.start()
    try:
        with smtplib.SMTP("127.0.0.1", 8025) as client:
            yield client
    finally:
        controller.stop()


@pytest.mark.usefixtures("mail")
def test_aiosmtpd_offers_what_the_page_lists() -> None:
    with served(object()) as client:
        client.ehlo()
        offered = set(client.esmtp_features) | {"starttls", "auth"}
    assert offered == {"size", "8bitmime", "smtputf8", "help", "starttls", "auth"}


@pytest.mark.usefixtures("mail")
def test_aiosmtpd_accepts_a_message_without_a_handler_for_it() -> None:
    class Handler: ...

    with served(Handler()) as client:
        assert client.sendmail(*TO_BOB) == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.usefixtures("mail")
def test_aiosmtpd_shows_the_client_the_text_of_an_exception() -> None:
    class Handler:
        async def handle_DATA(self, *_: object) -> str:  # noqa: N802 - a name of aiosmtpd
            raise RuntimeError("/var/secret.db is locked")

    with served(Handler()) as client, pytest.raises(smtplib.SMTPDataError) as caught:
        client.sendmail(*TO_BOB)
    assert caught.value.smtp_code == 500
    assert re.search("secret.db is locked", str(caught.value.smtp_error))
