"""compose: what it reads from files, the clock and randomness."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import smtpproto
from smtpproto import Attachment, GrammarError, compose
from smtpproto.mail.preparation import prepare

ANN = "Ann Lee <ann@example.org>"


def attached(value: Any) -> Any:
    """Return the part that the attachment *value* becomes."""
    [part] = compose(ANN, attachments=[value]).iter_attachments()
    return part


def test_a_path_an_open_file_and_octets_arrive_with_name_and_type(tmp_path: Path) -> None:
    path = tmp_path / "Gr\xfc\xdfe.pdf"
    path.write_bytes(b"%PDF\n\0")
    with path.open("rb") as file:
        for value in (path, str(path), file, Attachment(b"%PDF\n\0", name=path.name)):
            part = attached(value)
            assert part.get_payload(decode=True) == b"%PDF\n\0"
            assert (part.get_filename(), part.get_content_type()) == (path.name, "application/pdf")


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("a.png", None, "image/png"),
        ("a.tar.gz", None, "application/gzip"),
        ("a.txt.Z", None, "application/octet-stream"),
        ("a.eml", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
        ("a.png", "text/calendar; method=REQUEST", "text/calendar"),
    ],
)
def test_the_type_is_guessed_from_the_name_unless_it_is_given(
    name: str, given: str | None, kind: str
) -> None:
    part = attached(Attachment(b"", name=name, type=given))
    assert part.get_content_type() == kind
    assert (part.get_param("method") == "REQUEST") is (given is not None)


def test_a_file_is_read_from_its_position_and_only_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"skipped, read")
    with path.open("rb") as file:
        file.seek(9)
        assert attached(file).get_payload(decode=True) == b"read"
        with pytest.raises(GrammarError, match=r"nothing left to read; .* call seek\(0\) first"):
            compose(ANN, attachments=[file])
    with pytest.raises(GrammarError, match=r"cannot read an attachment: .*closed.*; pass an open"):
        compose(ANN, attachments=[file])
    path.write_bytes(b"")
    assert attached(path).get_payload(decode=True) == b""
    with path.open("rb") as file:
        assert attached(file).get_payload(decode=True) == b""


def test_a_message_is_attached_as_a_message() -> None:
    part = attached(compose("bob@example.org", subject="inner"))
    assert part.get_content_type() == "message/rfc822"
    assert part.get_payload(0)["Subject"] == "inner"


def test_inline_files_are_shown_by_the_html(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"png")
    html = '<img src="cid:logo">'
    message = compose(ANN, text="", html=html, inline={"logo": tmp_path / "logo.png"})
    [picture] = [part for part in message.walk() if part["Content-ID"] == "<logo>"]
    assert picture.get_content_type() == "image/png"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("no-such-file.pdf", r"cannot read the attachment 'no-such-file.pdf': No such file or "
         r"directory; check the path \(relative paths start at '.+'\)"),
        ("a\0b", r"cannot read the attachment 'a\\\\x00b': .*; check the path"),
        (b"octets", r'octets need a name: Attachment\(data, name="notes.txt"\)'),
        (Attachment(b""), "octets need a name"),
        (io.BytesIO(b"x"), "octets need a name"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_attached_is_an_error_that_says_what_to_do(
    value: Any, error: str
) -> None:
    with pytest.raises(GrammarError, match=error):
        compose(ANN, attachments=[value])


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({"attachments": "a.pdf"}, "attachments cannot be of the type str; pass a list"),
        ({"attachments": io.BytesIO()}, "attachments cannot be of the type BytesIO; pass a list"),
        ({"attachments": None}, "attachments cannot be None; pass a list; an element is a path"),
        ({"attachments": [5]}, "an attachment cannot be of the type int; pass a path"),
        ({"attachments": [io.StringIO()]}, 'pass a file that is opened with "rb"'),
        ({"inline": ["logo.png"]}, "inline cannot be of the type list; pass a mapping"),
    ],
)
def test_a_wrong_type_is_named(parts: Any, error: str) -> None:
    with pytest.raises(TypeError, match=error):
        compose(ANN, **parts)


def test_the_message_has_the_time_and_an_id_that_does_not_name_this_machine() -> None:
    messages = [compose(ANN) for _ in range(2)]
    for message in messages:
        assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", message["Message-ID"])
        age = datetime.now(UTC) - message["Date"].datetime
        assert timedelta(0) <= age < timedelta(minutes=10)
    assert messages[0]["Message-ID"] != messages[1]["Message-ID"]
    assert compose("ann@b\xfccher.example")["Message-ID"].endswith("@xn--bcher-kva.example>")
    assert compose("ann@[192.0.2.1]")["Message-ID"].endswith("@[192.0.2.1]>")


def test_date_and_message_id_may_be_given() -> None:
    when = datetime(2026, 5, 31, tzinfo=UTC)
    message = compose(ANN, date=when, message_id="<1@example.org>")
    assert (message["Date"].datetime, message["Message-ID"]) == (when, "<1@example.org>")


HTML = """<h1>Figures</h1><p>Hello <b>Bob</b>,<br>
<a href="https://example.org/may">here</a> or <a href="https://example.org/">https://example.org/</a>
<img src="cid:logo" alt="Our logo"><ul><li>one<li>zw\xf6lf</ul><style>p{}</style>"""


def test_text_is_made_of_html_if_only_html_is_given() -> None:
    message = compose(ANN, html=HTML, inline={"logo": Attachment(b"x", name="logo.png")})
    assert message.get_content_type() == "multipart/alternative"
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content() == (
        "Figures\n\nHello Bob,\n[here](https://example.org/may) or https://example.org/ [Our logo]"
        "\n\n  * one\n  * zw\xf6lf\n"
    )
    assert prepare(message, smtpproto.Envelope("a@b.example", "c@d.example"), eight_bit=False)


def test_html_without_any_text_needs_text() -> None:
    with pytest.raises(GrammarError, match="no plain text could be made of the HTML; pass text="):
        compose(ANN, html="<p> </p>")


def test_without_the_extra_the_error_says_to_pass_text_or_to_install_it() -> None:
    program = """
import sys
sys.modules["inscriptis"] = None
from smtpproto import compose
compose("ann@example.org", text="x", html="x")
try:
    compose("ann@example.org", html="x")
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert done.stdout == (
        "plain text is made of HTML by inscriptis: pass text= as well, or "
        'pip install "smtpproto-sansio[html]"\n'
    )
