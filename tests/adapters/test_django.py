"""The email backend for Django does what Django's own does over smtplib, and says more."""

from __future__ import annotations

import logging
import re
import smtplib
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings

if not settings.configured:
    settings.configure()

from django.core.mail import (
    EmailMessage,
    EmailMultiAlternatives,
    get_connection,
    mail_admins,
    send_mail,
    send_mass_mail,
)
from django.test import override_settings

from smtpproto import (
    BadCredentials,
    ConnectFailed,
    GrammarError,
    Limits,
    LocalProtocolError,
    NotOffered,
    OutcomeUnknown,
    SendRefused,
    SMTPError,
)
from smtpproto.adapters.django import EmailBackend
from smtpproto.testing import SMTPD, Drop, Refuse, Trouble

# Since Django 6.1, MAILERS takes the place of these settings and functions.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The EMAIL_"),
    pytest.mark.filterwarnings("ignore:.* is deprecated"),
]

BACKEND = "smtpproto.adapters.django.EmailBackend"


def settings_for(smtpd: SMTPD, **changes: Any) -> Any:
    defaults = {"EMAIL_BACKEND": BACKEND, "EMAIL_HOST": "localhost", "EMAIL_PORT": smtpd.port}
    return override_settings(**{**defaults, **changes})


@pytest.fixture
def smtpd() -> Iterator[SMTPD]:
    with SMTPD() as server, settings_for(server):
        yield server


def message(**changes: Any) -> EmailMessage:
    fields = {"subject": "Hello", "body": "Hi!", "from_email": "Ann <ann@example.org>"}
    return EmailMessage(**{**fields, "to": ["bob@example.org"], **changes})


# -- what Django's functions send ----------------------------------------------------------------


def test_send_mail_sends_one_message(smtpd: SMTPD) -> None:
    assert send_mail("Hello", "Hi!", "ann@example.org", ["Bob <bob@example.org>"]) == 1
    [received] = smtpd.messages
    assert received.mail_from == "ann@example.org"
    assert received.rcpt_tos == ["bob@example.org"]
    assert received.parsed["To"] == "Bob <bob@example.org>"
    assert received.text.rstrip() == "Hi!"


def test_alternatives_and_attachments_arrive(smtpd: SMTPD) -> None:
    both = EmailMultiAlternatives("Hello", "Hi!", "ann@example.org", ["bob@example.org"])
    both.attach_alternative("<p>Hi!</p>", "text/html")
    both.attach("report.csv", "day,visits\n", "text/csv")
    assert both.send() == 1
    [received] = smtpd.messages
    assert received.html.rstrip() == "<p>Hi!</p>"
    assert [it.get_filename() for it in received.parsed.iter_attachments()] == ["report.csv"]


def test_mail_admins_sends_to_all_of_them(smtpd: SMTPD) -> None:
    with override_settings(ADMINS=[("Bob", "bob@example.org"), ("Eve", "eve@example.org")]):
        mail_admins("Hello", "Hi!")
    assert smtpd.messages[0].rcpt_tos == ["bob@example.org", "eve@example.org"]


def test_send_mass_mail_uses_one_connection(smtpd: SMTPD) -> None:
    mails = [(f"Mail {number}", "Hi!", "a@b.test", ["c@d.test"]) for number in range(3)]
    assert send_mass_mail(mails) == 3
    assert len(smtpd.messages) == 3
    assert len(smtpd.sessions) == 1


def test_recipients_of_bcc_get_the_message_and_are_not_in_it(smtpd: SMTPD) -> None:
    assert message(cc=["cy@example.org"], bcc=["eve@example.org"]).send() == 1
    [received] = smtpd.messages
    assert received.rcpt_tos == ["bob@example.org", "cy@example.org", "eve@example.org"]
    assert b"eve" not in received.content


def test_no_messages_and_messages_without_recipients_are_not_sent(smtpd: SMTPD) -> None:
    assert get_connection().send_messages([]) == 0
    assert message(to=[]).send() == 0
    assert get_connection().send_messages([message(to=[]), message()]) == 1
    assert len(smtpd.sessions) == 1


def test_addresses_beyond_ascii_arrive_as_they_are(smtpd: SMTPD) -> None:
    assert message(to=["Jörg <jörg@bücher.example>", "bob@example.org"]).send() == 1
    [received] = smtpd.messages
    assert received.rcpt_tos == ["jörg@bücher.example", "bob@example.org"]
    assert received.envelope.parameters.smtputf8
    header = received.content.decode().partition("\r\n\r\n")[0]
    assert "jörg@" in header


def test_a_domain_beyond_ascii_needs_no_smtputf8() -> None:
    with SMTPD(extensions={"SMTPUTF8": None}) as smtpd, settings_for(smtpd):
        assert message(to=["Jörg <joerg@bücher.example>"], subject="Grüße").send() == 1
        [received] = smtpd.messages
        assert received.rcpt_tos == ["joerg@xn--bcher-kva.example"]
        assert received.parsed["Subject"] == "Grüße"
        assert received.content.isascii()


def test_an_address_that_the_server_cannot_take_raises() -> None:
    with (
        SMTPD(extensions={"SMTPUTF8": None}) as smtpd,
        settings_for(smtpd),
        pytest.raises(NotOffered, match="SMTPUTF8"),
    ):
        message(to=["jörg@example.org"]).send()


@pytest.mark.parametrize(
    "wrong", [{"to": ["bob"]}, {"to": ["a@b.test, c@d.test"]}, {"from_email": "<ann@example.org"}]
)
def test_a_malformed_address_raises_a_value_error_even_silently(
    wrong: dict[str, Any], smtpd: SMTPD
) -> None:
    with pytest.raises(ValueError):
        message(**wrong).send()
    given = wrong["to"][0] if "to" in wrong else wrong["from_email"]
    with pytest.raises(GrammarError, match=re.escape(repr(given))):
        message(**wrong, connection=get_connection(fail_silently=True)).send()
    assert smtpd.messages == []


# -- the settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tls", "setting"), [("starttls", "EMAIL_USE_TLS"), ("implicit", "EMAIL_USE_SSL")]
)
def test_tls_and_login_are_those_of_the_settings(
    tls: Any, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SMTPD(tls=tls, users={"ann": "secret"}) as smtpd:
        monkeypatch.setenv("SSL_CERT_FILE", str(smtpd.ca_file))
        login = {"EMAIL_HOST_USER": "ann", "EMAIL_HOST_PASSWORD": "secret"}
        with settings_for(smtpd, **{setting: True}, **login):
            assert message().send() == 1
        assert smtpd.messages[0].user == "ann"
        assert smtpd.messages[0].tls is not None


def test_arguments_come_before_settings() -> None:
    with SMTPD(users={"ann": "secret"}) as smtpd, settings_for(smtpd, EMAIL_HOST_USER="eve"):
        backend = EmailBackend(
            username="ann", password="secret", login_in_clear=True, tls="none", timeout=30
        )
        assert backend.send_messages([message()]) == 1
        assert smtpd.messages[0].user == "ann"


def test_options_of_our_own_are_in_smtpproto_email(smtpd: SMTPD) -> None:
    with override_settings(SMTPPROTO_EMAIL={"hello": "shop.example.org"}):
        message().send()
    assert "C: EHLO shop.example.org" in smtpd.sessions[0]


def test_a_login_without_tls_is_refused_before_the_password_is_sent() -> None:
    login = {"EMAIL_HOST_USER": "ann", "EMAIL_HOST_PASSWORD": "secret"}
    with SMTPD(users={"ann": "secret"}) as smtpd, settings_for(smtpd, **login):
        with pytest.raises(LocalProtocolError, match="STARTTLS"):
            message().send()
        assert "C: AUTH" not in smtpd.sessions[0]


def test_two_kinds_of_tls_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other"):
        EmailBackend(use_tls=True, use_ssl=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"use_tls": True, "use_ssl": True},
        {"timeout": -1.0},
        {"username": b"ann"},
        {"tls": "sometimes"},
        {"port": "25"},
        {"usernam": "ann"},
    ],
)
def test_no_error_and_no_repr_shows_the_password(arguments: dict[str, Any]) -> None:
    """Django mails tracebacks with the locals of each frame to the administrators."""
    secret = "".join(["hunter", "2"])
    with override_settings(EMAIL_HOST_USER="ann", EMAIL_HOST_PASSWORD=secret):
        assert secret not in repr(vars(EmailBackend()))
        with pytest.raises((ValueError, TypeError)) as caught:
            EmailBackend(**arguments).open()
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = [it for it, _ in frames if "smtpproto" in it.f_code.co_filename.rpartition("tests")[0]]
    shown = [repr(value) for frame in ours for value in frame.f_locals.values()]
    assert secret not in "".join(shown) + repr(caught.value)


def test_the_time_out_is_that_of_each_wait() -> None:
    with override_settings(EMAIL_TIMEOUT=7):
        timeouts: Any = EmailBackend()._options["timeouts"]
    assert (timeouts.connect, timeouts.final, timeouts.total) == (7, 7, None)


def test_an_unknown_option_raises_and_says_which_was_meant() -> None:
    with pytest.raises(TypeError, match="did you mean hello"):
        EmailBackend(helo="shop.example.org").open()


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django has no MAILERS before 6.1")
def test_mailers_pass_all_options(smtpd: SMTPD) -> None:
    """Then the settings EMAIL_... and SMTPPROTO_EMAIL do not count."""
    options = {"host": "localhost", "port": smtpd.port, "hello": "shop.example.org"}
    mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
    with override_settings(MAILERS=mailers, SMTPPROTO_EMAIL={"hello": "wrong.example"}):
        assert message().send() == 1
    assert "C: EHLO shop.example.org" in smtpd.sessions[0]


def test_with_an_alias_the_settings_do_not_count(
    smtpd: SMTPD, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django 6.1 passes one."""
    monkeypatch.setattr(EmailBackend.__mro__[1], "__init__", lambda self, *, alias: None)
    with override_settings(EMAIL_PORT=1, SMTPPROTO_EMAIL={"hello": "wrong.example"}):
        backend = EmailBackend(alias="default", host="localhost", port=smtpd.port)
        assert backend.send_messages([message()]) == 1
    assert "C: EHLO [127.0.0.1]" in smtpd.sessions[0]


# -- the connection ------------------------------------------------------------------------------


def test_open_and_close_keep_one_connection_for_many_messages(smtpd: SMTPD) -> None:
    with get_connection() as backend:
        assert backend.open() is False
        for _ in range(3):
            assert message(connection=backend).send() == 1
    assert backend.connection is None
    assert len(smtpd.sessions) == 1
    assert backend.open() is True
    backend.close()
    backend.close()
    assert len(smtpd.sessions) == 2


def test_a_connection_that_died_meanwhile_is_replaced() -> None:
    with SMTPD(trouble=Drop("MAIL", skip=1, times=1)) as smtpd, settings_for(smtpd):
        with get_connection() as backend:
            assert [message(connection=backend).send() for _ in range(2)] == [1, 1]
        assert len(smtpd.sessions) == 2


def test_threads_may_share_a_backend(smtpd: SMTPD) -> None:
    with get_connection() as backend:
        senders = [threading.Thread(target=message(connection=backend).send) for _ in range(5)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert len(smtpd.messages) == 5
    assert len(smtpd.sessions) == 1


# -- failures ------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_raises_or_is_silent() -> None:
    with SMTPD() as smtpd:
        closed = settings_for(smtpd)
    with closed:
        with pytest.raises(ConnectFailed), get_connection():
            pass
        silent = get_connection(fail_silently=True)
        assert silent.open() is None
        assert silent.send_messages([message()]) == 0


def test_a_wrong_password_raises_as_the_backend_opens() -> None:
    login = {"EMAIL_HOST_USER": "ann", "EMAIL_HOST_PASSWORD": "wrong"}
    clear = {"SMTPPROTO_EMAIL": {"tls": "none", "login_in_clear": True}}
    with (
        SMTPD(users={"ann": "secret"}, limits=Limits(failed_login_delay=0)) as smtpd,
        settings_for(smtpd, **login, **clear),
        pytest.raises(BadCredentials),
    ):
        get_connection().open()


def test_a_refused_message_raises_or_is_not_counted() -> None:
    trouble = Refuse("RCPT", to="eve@example.org")
    with SMTPD(trouble=trouble) as smtpd, settings_for(smtpd):
        refused = message(to=["eve@example.org"])
        with pytest.raises(SendRefused, match="No such user"):
            get_connection().send_messages([message(), refused, message()])
        assert len(smtpd.messages) == 1
        assert refused.outcome.refused["eve@example.org"].code == 550
        silent = get_connection(fail_silently=True)
        assert silent.send_messages([message(), refused, message()]) == 2


def test_a_message_that_some_recipients_get_counts_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with SMTPD(trouble=Refuse("RCPT", to="eve@example.org")) as smtpd, settings_for(smtpd):
        sent = message(to=["bob@example.org", "eve@example.org"])
        with caplog.at_level(logging.WARNING, "smtpproto.client"):
            assert sent.send() == 1
    assert "refused: eve@example.org (550 5.1.1 No such user)" in caplog.text
    assert "bob@example.org" in sent.outcome.accepted


def test_an_unknown_outcome_raises_or_is_not_counted() -> None:
    with SMTPD(trouble=Drop(".", stored=True)) as smtpd, settings_for(smtpd):
        with pytest.raises(OutcomeUnknown, match="it is unknown whether the server accepted"):
            message().send()
        assert message(connection=get_connection(fail_silently=True)).send() == 0
        assert len(smtpd.messages) == 2


# -- as Django's own backend does ----------------------------------------------------------------

OWN = "django.core.mail.backends.smtp.EmailBackend"
SCENARIOS: dict[str, tuple[list[Trouble], list[dict[str, Any]]]] = {
    "accepted": ([], [{}, {}]),
    "no recipients": ([], [{"to": []}, {}]),
    "bcc only": ([], [{"to": [], "bcc": ["eve@example.org"]}]),
    "some refused": ([Refuse("RCPT", times=1)], [{"to": ["eve@example.org", "bob@example.org"]}]),
    "all refused": ([Refuse("RCPT", times=1)], [{}, {}]),
    "sender refused": ([Refuse("MAIL", times=1)], [{}, {}]),
    "content refused": ([Refuse(".", times=1)], [{}, {}]),
    "lost before the reply": ([Drop(".", stored=True)], [{}]),
    "malformed address": ([], [{"to": ["bob@@example.org"]}]),
    "beyond ASCII": ([], [{"to": ["Jörg <bob@bücher.example>"], "subject": "Grüße"}]),
}


def sent_by(backend: str, scenario: str, *, silent: bool) -> tuple[object, object]:
    """Return what sending the messages of the scenario returns or raises, and what arrived."""
    trouble, messages = SCENARIOS[scenario]
    with SMTPD(trouble=trouble) as smtpd, settings_for(smtpd, EMAIL_BACKEND=backend):
        connection = get_connection(fail_silently=silent)
        try:
            result: object = connection.send_messages([message(**it) for it in messages])
        except ValueError:
            result = "malformed"
        except (smtplib.SMTPException, SMTPError):
            result = "raises"
        finally:
            connection.close()
        return result, [(it.mail_from, it.rcpt_tos, it.text.strip()) for it in smtpd.messages]


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_returns_and_sends_what_the_backend_of_django_does(scenario: str, silent: bool) -> None:
    assert sent_by(BACKEND, scenario, silent=silent) == sent_by(OWN, scenario, silent=silent)
