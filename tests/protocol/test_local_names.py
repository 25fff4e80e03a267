"""Addresses and EHLO names of programs that know only local names.

The lines are those that the test suites of CPython's smtplib, Django and aiosmtplib send, and cron.
"""

from __future__ import annotations

import pytest

from smtpproto.events import Rejected
from smtpproto.limits import Leniencies, Tolerance

from .machines import greeted_server, ready_server

LOCAL = Leniencies(missing_domain=Tolerance.ACCEPT)
HELLOS = ["localhost", "testhost", "test_auth_login", "foo", "me.example.com", "[127.0.0.1]",
          " example.com ", "localhost.localdomain",
          "my-laptop.local.", "ip6-localhost", "DESKTOP_7"]  # fmt: skip
SENDERS = ["<John>", "<>", "<root>", "<hi@me.com>", "<webmaster@localhost>", "<foo@bar.com>",
           "<the_rescuers@Rescue-Aid-Society.com>", "<Jőhn> SMTPUTF8 BODY=8BITMIME",
           "<főo@bar.com> SIZE=5 SMTPUTF8", "<j@example.com>", "<www-data>",
           "<root@my_host>"]  # fmt: skip
RECIPIENTS = ["<Sally>", "<Frank>", "<Jeff>", "<root@localhost>",
              "<warped@silly.walks.com>",
              "<my_mom@great.cooker.com>", "<Postmaster>", "<cron>", "<a.b+c>"]  # fmt: skip


@pytest.mark.parametrize("name", HELLOS)
def test_each_name_in_ehlo_is_accepted_by_default(name: str) -> None:
    for verb in ("EHLO", "HELO"):
        assert greeted_server().codes(f"{verb} {name}\r\n".encode()) == [250]


@pytest.mark.parametrize("path", SENDERS)
def test_each_sender_is_accepted_with_missing_domain(path: str) -> None:
    assert ready_server(leniencies=LOCAL).codes(f"MAIL FROM:{path}\r\n".encode()) == [250]
    assert ready_server(leniencies=LOCAL).codes(f"mail FROM:{path}\r\n".encode()) == [250]


def test_each_recipient_is_accepted_with_missing_domain_and_kept() -> None:
    server = ready_server(leniencies=LOCAL)
    assert server.codes(b"MAIL FROM:<John>\r\n") == [250]
    for path in RECIPIENTS:
        assert server.codes(f"RCPT TO:{path}\r\n".encode()) == [250]
    assert server.machine.envelope.sender == "John"
    assert list(server.machine.envelope.recipients) == [path[1:-1] for path in RECIPIENTS]


def test_local_names_in_utf8_need_smtputf8() -> None:
    server = ready_server(leniencies=LOCAL)
    assert server.codes("MAIL FROM:<Jőhn>\r\n".encode()) == [550]
    assert server.codes("MAIL FROM:<Jőhn> SMTPUTF8\r\nRCPT TO:<Sálly>\r\n".encode()) == [250, 250]


@pytest.mark.parametrize(
    "lines",
    [
        b"EHLO hi\r\nX-INJECTED\r\n",
        b"MAIL FROM:<hi@me.com> X-OPTION\r\nX-INJECTED-1 X-OPTION2\r\n",
        b"RCPT TO:<a b>\r\n",
        b"MAIL FROM:<John Smith>\r\n",
        b"MAIL FROM:<a@b@c>\r\n",
        b"MAIL FROM:<a,b>\r\n",
        b"MAIL FROM:<<root>>\r\n",
        b"MAIL FROM:<root\r\n",
    ],
)
def test_the_leniency_accepts_nothing_else(lines: bytes) -> None:
    server = ready_server(leniencies=LOCAL)
    server.feed(lines)
    assert isinstance(server.events[-1], Rejected)
