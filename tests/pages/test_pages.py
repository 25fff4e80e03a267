"""The pages that teach: what they show is what happens."""

from __future__ import annotations

import pytest

from smtpproto import Envelope
from smtpproto.adapters import blocking
from tests.pages.conftest import Visit

PAGES = (
    "coming-from/aiosmtpd.md",
    "coming-from/aiosmtplib.md",
    "coming-from/nodemailer.md",
    "coming-from/smtplib.md",
    "coming-from/twisted.md",
    "howto/unknown-outcome.md",
    "tutorials/send.md",
)
"""Those without a test of their own."""


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
