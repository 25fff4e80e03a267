"""Lines of zone files, as dnspython reads them."""

from __future__ import annotations

import dns.rdata
import pytest
from dns.rdtypes.ANY.TXT import TXT

from smtpproto.dns import txt_record


@pytest.mark.parametrize("text", ["", "v=spf1 -all", 'a\\"b"', "x" * 255, "y" * 256, "z\\" * 400])
def test_a_txt_record_keeps_its_text(text: str) -> None:
    name, _, _, value = txt_record("a.example", text).split(" ", 3)
    read = dns.rdata.from_text("IN", "TXT", value)
    assert isinstance(read, TXT)
    assert (name, b"".join(read.strings).decode()) == ("a.example.", text)
