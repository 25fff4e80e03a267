"""The pages that teach: what they show is what happens."""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session, TLSVerify
from smtpproto.adapters import blocking
from smtpproto.replies import NO_SUCH_USER
from smtpproto.testing import ReceivedMessage
from tests.pages.conftest import Visit
from tests.pages.page import DOCS

PAGES = (
    "coming-from/aiosmtpd.md",
    "coming-from/aiosmtplib.md",
    "coming-from/nodemailer.md",
    "coming-from/smtplib.md",
    "coming-from/twisted.md",
    "howto/haproxy.md",
    "howto/logging.md",
    "howto/own-verb.md",
    "howto/unknown-outcome.md",
    "tutorials/login-server.md",
    "tutorials/send.md",
)
"""Those without a test of their own."""


def test_a_test_names_each_page_that_has_code() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    with_code = [it for it in DOCS.rglob("*.md") if "```python\n" in it.read_text()]
    assert [str(it) for it in with_code if it.name not in tests] == []


@pytest.mark.parametrize("name", PAGES)
def test_all_that_the_page_shows_happens(name: str, visit: Visit) -> None:
    visit(name).read()


def test_the_tutorial_on_receiving_stores_whole_messages_and_streams(visit: Visit) -> None:
    page = visit("tutorials/receive.md")
    page.read()
    [stored] = (page.directory / "inbox/new").iterdir()
    with blocking.serve(page.names["Streaming"]()) as server:
        blocking.send(
            stored.read_bytes(),
            "127.0.0.1",
            server.port,
            envelope=Envelope("ann@example.net", "bob@example.org"),
        )
    [first, second] = (page.directory / "inbox/new").iterdir()
    assert first.read_bytes() == second.read_bytes()


def test_the_page_on_oauth_logs_in_with_a_token_that_it_fetches_once(
    visit: Visit, mail: list[ReceivedMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, list[str]]] = []

    def answer(url: str, form: bytes, timeout: float) -> io.BytesIO:
        assert url == "https://oauth2.googleapis.com/token"
        asked.append(parse_qs(form.decode()))
        return io.BytesIO(json.dumps({"access_token": "ya29.new", "expires_in": 3600}).encode())

    monkeypatch.setattr("urllib.request.urlopen", answer)
    monkeypatch.setenv("CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("REFRESH_TOKEN", "1//refresh")
    page = visit("howto/oauth.md")
    page.read()
    assert page.names["token"]() == "ya29.new"
    [form] = asked
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["1//refresh"])
    assert mail[0].user == "ann@example.org"


def test_the_page_on_large_messages_streams_a_file_with_its_progress(
    visit: Visit, mail: list[ReceivedMessage]
) -> None:
    page = visit("howto/large-messages.md")
    page.read()
    film = bytes(range(256)) * 2000
    Path("film.mkv").write_bytes(film)
    with page.watching():
        page.names["send_film"]("film.mkv")
    shown = page.screen.take()
    assert shown.startswith("\r11 %\r22 %")
    assert "\r100 %" in shown
    [message] = mail
    assert message.parsed.get_content() == film
    declared = message.envelope.parameters.size
    assert declared is not None
    assert 0 <= declared - len(message.content) < 100


class Mailboxes(Handler):
    """Takes mail for alice by LMTP."""

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return NO_SUCH_USER if recipient.local_part == "nobody" else None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> list[Reply | None]:
        full = Reply(552, "5.2.2", "Mailbox full")
        return [full if it.local_part == "full" else None for it in envelope.recipients]


def test_the_page_on_dovecot_tells_recipients_apart(visit: Visit) -> None:
    page = visit("howto/lmtp-dovecot.md")
    path = str(page.directory / "lmtp")
    with blocking.serve(Mailboxes(), path, lmtp=True):
        shown = page.run_with({"/run/dovecot/lmtp": path})
    assert shown == "full@box.test 552 never\nnobody@box.test 550 never\n"


def test_the_page_on_systemd_shows_a_renewed_certificate(visit: Visit, tmp_path: Path) -> None:
    page = visit("howto/systemd.md")
    page.read()
    authority, file = trustme.CA(), tmp_path / "mx.pem"
    seen = set()

    def renew() -> None:
        file.unlink(missing_ok=True)
        leaf = authority.issue_cert("localhost")
        leaf.private_key_and_cert_chain_pem.write_to_path(str(file))

    renew()
    certificate = page.names["Certificate"](str(file))
    verify = TLSVerify.by_ca(authority.cert_pem.bytes().decode())
    with blocking.serve(Handler(), context=certificate) as server:
        for _ in range(2):
            with blocking.connect(
                "localhost", server.port, tls="required", verify=verify
            ) as client:
                assert client.tls is not None
                seen.add(client.tls.peer_certificate)
            renew()
    assert len(seen) == 2
