"""How ``smtpproto serve`` shows messages: decoded, as octets, as JSON and on one line."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

import pytest

from smtpproto import Envelope
from smtpproto.cli.mail_view import (
    MailView,
    Show,
    how_to_show,
    show_decoded,
    show_json,
    show_line,
    show_octets,
)
from smtpproto.server import Session
from smtpproto.testing import ReceivedMessage
from smtpproto.tls.filter import TLSInfo
from tests.mail.test_opened import with_everything
from tests.support.hostile_mail import HOSTILE, html_mail

EVERYTHING = re.sub(b"\r?\n", b"\r\n", bytes(with_everything()))


def shown(capsys: Any, show: Show, content: bytes, **session: Any) -> str:
    """Return what is printed, without the time."""
    envelope = Envelope("", ["bob@b.test", "carol@c.test"])
    its = Session(peer=("127.0.0.1", 9), **session)
    MailView(show)(ReceivedMessage(envelope, content, its))
    return re.sub(r"^(-+ )?[0-9:]{8} ", r"\1TIME ", capsys.readouterr().out)


def test_a_person_reads_fields_text_and_what_is_attached(capsys: Any) -> None:
    tls = TLSInfo("TLSv1.3", "X", None)
    out = shown(capsys, show_decoded, EVERYTHING, tls=tls, user="ann")
    size = len(EVERYTHING)
    assert (
        out
        == f"""\
-------- TIME from <>, to bob@b.test, carol@c.test: {size} octets, TLSv1.3, login ann
From:     Jörg <joerg@a.test>
To:       bob@b.test
Subject:  Grüße und 漢字
Date:     Tue, 01 Dec 2026 09:41:07 +0000

Hallo Bob,
bis später

Attached:
  logo@a.test  image/png, 4 octets
  Übersicht 1.pdf  application/pdf, 4 octets
  notes.txt  text/plain, 7 octets
-------- end
"""
    )


def test_what_receivers_may_dislike_is_told(capsys: Any) -> None:
    out = shown(capsys, show_decoded, b"Subject: x\r\n\r\n" + b"x" * 999)
    assert "no TLS\n" in out
    before, _, findings = out.partition("\nReceivers may dislike:\n")
    assert before.endswith("x\n")
    assert "\n  line 3: more than 998 octets; break the line" in findings
    assert findings.endswith("\n-------- end\n")


def test_of_html_alone_its_words_are_shown(capsys: Any) -> None:
    out = shown(capsys, show_decoded, html_mail("<p>One</p><script>no</script><p>Two &lt;"))
    assert "\nThere is only HTML. It says:\nOne\n\nTwo <\n" in out


def test_a_long_text_is_cut(capsys: Any) -> None:
    out = shown(capsys, show_decoded, b"\r\n" + b"x\r\n" * 1003)
    assert out.count("\nx") == 1000
    assert "\nThere are 3 more lines; --raw prints all.\n" in out


@pytest.mark.parametrize("show", [show_decoded, show_octets, show_json, show_line])
@pytest.mark.parametrize("content", HOSTILE)
def test_no_message_can_move_the_cursor(capsys: Any, show: Show, content: bytes) -> None:
    out = shown(capsys, show, content)
    assert all(it.isprintable() for it in re.split("[\t\n]", out))


def test_json_is_one_line_with_all_that_is_known(capsys: Any) -> None:
    out = shown(capsys, show_json, EVERYTHING)
    values = json.loads(out)
    assert out.isascii()
    assert out.count("\n") == 1
    assert values["envelope"]["to"] == ["bob@b.test", "carol@c.test"]
    assert (values["id"], values["subject"]) == (1, "Grüße und 漢字")
    assert values["text"] == "Hallo Bob,\nbis später\n"


def test_a_line_has_the_envelope_and_the_subject(capsys: Any) -> None:
    out = shown(capsys, show_line, b"Subject: a\r\n\r\n")
    assert out == "TIME from <>, to bob@b.test, carol@c.test: a, 14 octets\n"
    assert "(no subject)" in shown(capsys, show_line, b"")


@pytest.mark.parametrize(
    ("raw", "as_json", "show"),
    [(True, False, show_octets), (False, True, show_json), (False, False, show_line)],
)
def test_options_say_how_messages_are_shown(raw: bool, as_json: bool, show: Show) -> None:
    assert how_to_show(argparse.Namespace(raw=raw, json=as_json), show_line) is show
