"""swaks and curl send to our servers."""

from __future__ import annotations

import pytest

from tests.interop.contents import CONTENTS, DOTS, PLAIN
from tests.interop.our_server import LOGIN, Inbox, login_options, serving
from tests.interop.programs import Certificate, Send


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("pipelining", [False, True], ids=["lockstep", "pipelined"])
@pytest.mark.parametrize("name", sorted(CONTENTS.keys() - {"last-dot"}))  # swaks drops the last dot
def test_a_message_from_swaks_arrives_octet_for_octet(
    adapter: str, pipelining: bool, name: str, inbox: Inbox, swaks: Send
) -> None:
    with serving(adapter, inbox) as port:
        swaks(port, CONTENTS[name], *["--pipeline"][:pipelining])
        arrival = inbox.next()
    assert arrival.body == CONTENTS[name]
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", ["bob@b.test"])


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
def test_swaks_logs_in_over_tls(
    adapter: str, implicit: bool, inbox: Inbox, swaks_tls: Send, certificate: Certificate
) -> None:
    verified = ("--tls-verify", f"--tls-ca-path={certificate.ca}")
    tls = ("--tls-on-connect" if implicit else "--tls", *verified)
    login = ("--auth=PLAIN", f"--auth-user={LOGIN[0]}", f"--auth-password={LOGIN[1]}")
    with serving(adapter, inbox, **login_options(certificate, implicit_tls=implicit)) as port:
        swaks_tls(port, DOTS, *tls, *login)
        arrival = inbox.next()
        refused = swaks_tls(port, DOTS, *tls, *login[:-1], "--auth-password=guess", check=False)
    assert arrival.body == DOTS
    assert arrival.session.tls is not None
    assert arrival.session.user == LOGIN[0]
    assert "535 5.7.8" in refused
    assert inbox.empty


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("pipelining", [False, True], ids=["lockstep", "pipelined"])
def test_a_refused_recipient_of_swaks_does_not_stop_the_message(
    adapter: str, pipelining: bool, inbox: Inbox, swaks: Send
) -> None:
    to = ("--to=refused@b.test,bob@b.test", *["--pipeline"][:pipelining])
    with serving(adapter, inbox) as port:
        output = swaks(port, PLAIN, *to)
        arrival = inbox.next()
    assert "550 5.1.1 No such mailbox" in output
    assert arrival.recipients == ["bob@b.test"]
    assert arrival.body == PLAIN


@pytest.mark.peer("curl")
def test_a_message_from_curl_arrives_octet_for_octet(
    adapter: str, content: bytes, inbox: Inbox, curl: Send
) -> None:
    with serving(adapter, inbox) as port:
        curl(f"smtp://127.0.0.1:{port}/client.a.test", content)
        arrival = inbox.next()
    assert arrival.body == content
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", ["bob@b.test"])
    assert arrival.envelope.parameters.size == len(content)
    assert str(arrival.session.hello) == "client.a.test"


@pytest.mark.peer("curl")
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
def test_curl_logs_in_over_tls(
    adapter: str, implicit: bool, inbox: Inbox, curl: Send, certificate: Certificate
) -> None:
    tls = ("--ssl-reqd", "--cacert", certificate.ca)
    login = ("--login-options", "AUTH=PLAIN", "--user")
    with serving(adapter, inbox, **login_options(certificate, implicit_tls=implicit)) as port:
        url = f"smtp{'s' * implicit}://127.0.0.1:{port}/client.a.test"
        curl(url, DOTS, *tls, *login, ":".join(LOGIN))
        arrival = inbox.next()
        refused = curl(url, DOTS, *tls, *login, f"{LOGIN[0]}:guess", check=False)
    assert arrival.body == DOTS
    assert arrival.session.tls is not None
    assert arrival.session.user == LOGIN[0]
    assert "535 5.7.8" in refused
    assert inbox.empty


@pytest.mark.peer("curl")
def test_a_utf8_address_of_curl_arrives(adapter: str, inbox: Inbox, curl: Send) -> None:
    with serving(adapter, inbox) as port:
        curl(f"smtp://127.0.0.1:{port}/client.a.test", PLAIN, to="jürgen@b.test")
        arrival = inbox.next()
    assert arrival.recipients == ["jürgen@b.test"]
    assert arrival.envelope.parameters.smtputf8


@pytest.mark.peer("curl")
def test_curl_may_ignore_a_refused_recipient(adapter: str, inbox: Inbox, curl: Send) -> None:
    with serving(adapter, inbox) as port:
        url = f"smtp://127.0.0.1:{port}/client.a.test"
        assert "550 5.1.1" in curl(url, PLAIN, to="refused@b.test", check=False)
        allowing = ("--mail-rcpt", "refused@b.test", "--mail-rcpt-allowfails")
        assert "550 5.1.1" in curl(url, PLAIN, *allowing)
        arrival = inbox.next()
    assert arrival.recipients == ["bob@b.test"]
    assert inbox.empty
