"""Each program in examples/ does what it says."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
import trustme

from smtpproto import Envelope, Handler, ScramKeys, SendRefused, Session, TLSMode, TLSVerify
from smtpproto.adapters import blocking
from smtpproto.client import ClientOptions

EXAMPLES = Path(__file__).parent.parent / "examples"


class AcceptingHandler(Handler):
    """Accepts every message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


class Inbox(Handler):
    """Keeps each message that arrives."""

    def __init__(self) -> None:
        self.messages = SimpleQueue[tuple[Envelope, bytes]]()

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.messages.put((envelope, body))

    def next(self) -> tuple[Envelope, bytes]:
        """Return the next message, with CRLF as it arrived, once it is there."""
        return self.messages.get(timeout=20)


@contextlib.contextmanager
def running(module: str, run: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run an example that listens in a process of its own; yield its port and the process."""
    program = f"import {module} as example, asyncio, trio, smtpproto.mta\n{run}"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], cwd=EXAMPLES, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split()[-1]), process
        finally:
            process.kill()


def test_receive_accepts_one_domain_and_prints_the_message() -> None:
    with running("receive", "asyncio.run(example.main(0))") as (port, process):
        with blocking.connect("localhost", port) as client:
            outcome = client.send(b"hello\r\n", Envelope("a@b.test", ["c@example.org", "d@e.test"]))
        assert len(outcome.accepted) == len(outcome.refused) == 1
        assert process.stdout is not None
        assert process.stdout.readline() == "a@b.test to 1: 7 octets\n"


def test_stream_stores_the_message_in_a_file(tmp_path: Path) -> None:
    with (
        running("stream", f"example.main({str(tmp_path)!r}, 0)") as (port, _),
        blocking.connect("localhost", port) as client,
    ):
        client.send(b"hello\r\n", Envelope("a@b.test", "c@example.org"))
    (stored,) = tmp_path.iterdir()
    assert stored.read_bytes() == b"hello\r\n" and stored.suffix == ".eml"


def test_connection_state_counts_unknown_recipients_for_each_connection() -> None:
    strangers = Envelope("a@b.test", [f"s{number}@example.org" for number in range(3)])
    with running("connection_state", "trio.run(example.main, 0)") as (port, _):
        for _ in range(2):  # the second connection starts at zero
            with blocking.connect("localhost", port) as client:
                with pytest.raises(Exception, match="No such user"):
                    client.send(b"hello\r\n", strangers)
                assert client.usable
                with pytest.raises(Exception, match="421"):
                    client.send(b"hello\r\n", strangers)


def test_send_many_prints_the_reply_for_each_recipient() -> None:
    with running("receive", "asyncio.run(example.main(0))") as (port, _):
        sent = subprocess.run(
            [sys.executable, "-c", f"import send_many; send_many.main('localhost', {port})"],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
            check=True,
        )
    assert sent.stdout.splitlines() == [
        "bob@example.org: 250 2.0.0 Message accepted",
        "carol@example.org: 250 2.0.0 Message accepted",
        "dave@elsewhere.test: 550 5.7.1 Relaying denied (give up)",
    ]


def test_lmtp_replies_for_each_recipient() -> None:
    with running("lmtp", "asyncio.run(example.main(0))") as (port, _):
        with blocking.connect("localhost", port, lmtp=True, tls=TLSMode.NONE) as client:
            outcome = client.send(b"x" * 20 + b"\r\n", Envelope("", ["ann@a.test", "bob@a.test"]))
        assert [str(path) for path in outcome.accepted] == ["ann@a.test"]
        assert [str(reply) for reply in outcome.refused.values()] == [
            "452 4.2.2 Mailbox of bob is full"
        ]


def test_own_verb_prints_the_reply_to_its_verb() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_verb.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "250 2.0.0 3\n"


def test_pool_sends_all_messages() -> None:
    with running("receive", "asyncio.run(example.main(0))") as (port, _):
        done = subprocess.run(
            [sys.executable, "-c", f"import asyncio, pool; asyncio.run(pool.main(port={port}))"],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
            check=True,
        )
    assert sorted(done.stdout.splitlines()) == sorted(
        f"person{n}@example.org: sent" for n in range(20)
    )


def test_sasl_alone_prints_a_scram_exchange() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "sasl_alone.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("server: r=") and "username='ann'" in done.stdout


def test_the_submission_example_requires_a_login_and_the_users_own_address(tmp_path: Path) -> None:
    """It also shows a renewed certificate on the next connection."""
    keys = ScramKeys.derive("secret", salt=b"x" * 16)
    (tmp_path / "users").write_text(f"ann:{keys}\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pem = tmp_path / "server.pem"
    options: ClientOptions = {
        "login": ("ann", "secret"),
        "verify": TLSVerify.by_ca(str(tmp_path / "ca.pem")),
        "tls": TLSMode.REQUIRED,
    }
    shown = set()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    call = f"example.main({str(tmp_path / 'users')!r}, {str(pem)!r}, 0)"
    with running("submission", call) as (port, process):
        for year in (2001, 2002):
            certificate = authority.issue_cert("localhost")
            certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
            os.utime(pem, (year, year))
            with blocking.connect("localhost", port, **options) as client:
                assert client.tls is not None
                shown.add(client.tls.peer_certificate)
                client.send(b"hello\r\n", Envelope("ann@example.org", "bob@example.org"))
                with pytest.raises(SendRefused, match="Not your address"):
                    client.send(b"hello\r\n", Envelope("bob@example.org", "bob@example.org"))
            assert process.stdout is not None
            assert process.stdout.readline() == "ann: 7 octets\n"
    assert len(shown) == 2


def test_machine_prints_content_and_replies() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "machine.py"], capture_output=True, text=True, check=True
    )
    assert "content: b'.a line that starts with a dot\\r\\n'" in done.stdout
    assert "QUIT -> 221" in done.stdout


def test_measure_handler_prints_what_each_handler_costs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import measure_handler; measure_handler.main(10, 1)"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"(\w+: \d+ us of CPU a message\n){2}", done.stdout)


def test_relay_stores_one_domain_passes_on_the_rest_and_checks_messages(tmp_path: Path) -> None:
    message = b"Message-ID: <x@a.test>\r\n\r\nhello\r\n"
    with blocking.serve(AcceptingHandler()) as hop:
        run = f"asyncio.run(example.main({str(tmp_path)!r}, '127.0.0.1', {hop.port}, 0))"
        with (
            running("relay", run) as (port, process),
            blocking.connect("localhost", port) as client,
        ):
            client.send(message, Envelope("a@b.test", ["c@example.org", "d@e.test"]))
            with pytest.raises(SendRefused, match="no Message-ID"):
                client.send(b"\r\nhello\r\n", Envelope("a@b.test", ["c@example.org"]))
            process.terminate()
            process.wait(20)
    [stored] = tmp_path.glob("*.eml")
    assert stored.read_bytes().endswith(message)


def test_notify_sends_on_each_flavour() -> None:
    with blocking.serve(inbox := Inbox()) as server:
        call = f"import notify; notify.main('localhost', {server.port})"
        done = subprocess.run(
            [sys.executable, "-c", call], cwd=EXAMPLES, capture_output=True, text=True, check=True
        )
    accepted = "accepted: ann@example.org (250 2.0.0 Message accepted)\n"
    assert done.stdout == accepted * 3
    subjects = [re.findall(rb"Subject: (.*)\r\n", inbox.next()[1]) for _ in range(3)]
    assert subjects == [
        [b"The backup is done"],
        [b"The disk is full"],
        [b"The disk has room again"],
    ]


def test_catch_all_keeps_and_shows_mail_for_any_address(tmp_path: Path) -> None:
    message = b"Subject: =?utf-8?q?f=C3=BCr?= you\r\n\r\nhello \x1b[2J\r\n"
    with running("catch_all", f"example.main({str(tmp_path)!r}, 0)") as (port, process):
        with blocking.connect("localhost", port) as client:
            outcome = client.send(message, Envelope("a@b.test", ["c@d.test", "e@f.test"]))
        assert str(outcome.reply) == "250 2.0.0 Kept in 1.eml"
        assert process.stdout is not None
        shown = [process.stdout.readline() for _ in range(3)]
    assert shown == [
        "== 1.eml: a@b.test to c@d.test, e@f.test\n",
        "Subject: 'für you'\n",
        r"'hello \x1b[2J\r\n'" "\n",
    ]
    assert (tmp_path / "1.eml").read_bytes() == message
    with (
        running("catch_all", f"example.main({str(tmp_path)!r}, 0)") as (port, _),
        blocking.connect("localhost", port) as client,
    ):
        assert str(client.send(b"\r\n", Envelope("a@b.test", "c@d.test")).reply).endswith("2.eml")
    assert (tmp_path / "1.eml").read_bytes() == message


def test_spam_trap_notes_who_sent_what(tmp_path: Path) -> None:
    log = tmp_path / "trap.json"
    with (
        running("spam_trap", f"asyncio.run(example.main({str(log)!r}, 0))") as (port, _),
        blocking.connect("localhost", port, hello="spam.test") as client,
    ):
        client.send(b"Subject: Win\r\n\r\nnow\r\n", Envelope("a@b.test", "nobody@example.org"))
    noted = json.loads(log.read_text())
    assert noted["client"] in ("127.0.0.1", "::1") and noted["hello"] == "spam.test"
    assert (noted["sender"], noted["recipients"]) == ("a@b.test", ["nobody@example.org"])
    assert (noted["subject"], noted["octets"]) == ("Win", 21)


def test_filtering_proxy_refuses_unwanted_words_and_passes_on_the_rest(tmp_path: Path) -> None:
    with blocking.serve(inbox := Inbox()) as behind:
        queue = str(tmp_path / "queue.db")
        run = f"asyncio.run(example.main({queue!r}, '127.0.0.1', {behind.port}, 0))"
        with (
            running("filtering_proxy", run) as (port, _),
            blocking.connect("localhost", port) as client,
        ):
            envelope = Envelope("a@b.test", "c@example.org")
            with pytest.raises(SendRefused, match="read about lottery"):
                client.send(b"\r\n" + b"x" * 60 + b"\r\n" + b"LOTTERY\r\n", envelope)
            with pytest.raises(SendRefused, match="Relaying denied"):
                client.send(b"\r\nhello\r\n", Envelope("a@b.test", "c@elsewhere.test"))
            client.send(b"\r\nhello\r\n", envelope)
            _, passed = inbox.next()
    assert passed.startswith(b"X-Filtered: yes\r\n") and passed.endswith(b"\r\nhello\r\n")


def test_web_application_shows_the_mail_of_a_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    web_application = importlib.import_module("web_application")
    tickets = defaultdict[int, list[str]](list)
    web = web_application.create_app(tickets).test_client()
    with (
        blocking.serve(web_application.TicketInbox(tickets)) as server,
        blocking.connect("localhost", server.port) as client,
    ):
        envelope = Envelope("a@b.test", ["ticket-7@example.org", "ticket-x@example.org"])
        outcome = client.send(b"\r\n<script>\r\n", envelope)
    assert [str(it) for it in outcome.refused] == ["ticket-x@example.org"]
    shown = web.get("/tickets/7")
    assert (shown.text, shown.mimetype) == ("a@b.test: <script>\r\n", "text/plain")
    assert web.get("/tickets/8").status_code == 404


@pytest.mark.parametrize("charset", ["nonsense", "hex", "idna", "utf-7", '"\xff"'])
def test_web_application_shows_text_in_any_charset(
    charset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    web_application = importlib.import_module("web_application")
    tickets = defaultdict[int, list[str]](list)
    body = f"Content-Type: text/plain; charset={charset}\r\n\r\nxn--\xff +2AA-".encode("latin-1")
    handler = web_application.TicketInbox(tickets)
    handler.message(None, Envelope("a@b.test", "ticket-7@example.org"), body)
    shown = web_application.create_app(tickets).test_client().get("/tickets/7")
    assert shown.status_code == 200 and shown.text.startswith("a@b.test: xn--")


def test_property_test_passes_and_finds_a_handler_that_stores_twice() -> None:
    program = (
        "import unittest, property_test as it\n"
        "def run(): return unittest.TextTestRunner().run("
        "unittest.defaultTestLoader.loadTestsFromModule(it)).wasSuccessful()\n"
        "first = run()\n"
        "good = it.Mailboxes.message\n"
        "it.Mailboxes.message = lambda *args: (good(*args), good(*args))[0]\n"
        "print(first, run())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=EXAMPLES, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "True False"


def test_forwarder_sends_on_from_an_address_of_its_own(tmp_path: Path) -> None:
    with blocking.serve(inbox := Inbox()) as next_hop:
        queue = str(tmp_path / "queue.db")
        hop = f"smtpproto.mta.SmartHost('127.0.0.1', {next_hop.port})"
        run = f"asyncio.run(example.main({queue!r}, 'secret', {hop}, 0))"
        with running("forwarder", run) as (port, _), blocking.connect("localhost", port) as client:
            client.send(b"\r\nhello\r\n", Envelope("carol@example.com", "ann@example.org"))
            envelope, _ = inbox.next()
    assert [str(it) for it in envelope.recipients] == ["ann.lee@example.com"]
    assert re.fullmatch(r"SRS0=....=..=example.com=carol@example.org", str(envelope.sender))


def test_mailing_list_members_join_write_bounce_and_leave(tmp_path: Path) -> None:
    members = tmp_path / "members.json"
    with blocking.serve(inbox := Inbox()) as next_hop:
        hop = f"smtpproto.mta.SmartHost('127.0.0.1', {next_hop.port})"
        run = f"asyncio.run(example.main({str(tmp_path)!r}, 'secret', {hop}, 0))"
        with (
            running("mailing_list", run) as (port, _),
            blocking.connect("localhost", port) as client,
        ):

            def write(sender: str, to: str, message: bytes = b"\r\nhello\r\n") -> None:
                client.send(message, Envelope(sender, f"gardeners{to}@lists.example.org"))

            write("ann@example.org", "-join")
            _, question = inbox.next()
            [token] = re.findall(rb"From: gardeners(-confirm\+\w+)@", question)
            assert not members.exists()
            write("jörg@example.org", "-confirm+é")  # is refused, and comes back
            assert b"Only for members" in inbox.next()[1]
            write("ann@example.org", token.decode())
            write("ann@example.org", "", b"Subject: Roses\r\n\r\nhello\r\n")
            envelope, post = inbox.next()
            assert [str(it) for it in envelope.recipients] == ["ann@example.org"]
            assert b"\r\nList-Id: <gardeners.lists.example.org>\r\n" in post
            assert post.endswith(b"\r\nSubject: Roses\r\n\r\nhello\r\n")
            assert json.loads(members.read_text()) == ["ann@example.org"]
            assert envelope.sender.mailbox is not None
            bounce = envelope.sender.mailbox.local_part.removeprefix("gardeners")
            write("", bounce, b"\r\nAction: failed\r\n")
            write("ann@example.org", "")  # ... so that this is refused, and comes back
            envelope, report = inbox.next()
            assert envelope.sender.mailbox is None and b"Only for members" in report
    assert json.loads(members.read_text()) == []
