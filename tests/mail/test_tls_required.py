"""The header field ``TLS-Required: No`` (RFC 8689 3)."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from smtpproto.mail.tls_required import waive_tls, waives_tls


@pytest.mark.req("RFC8689-3-01")
@pytest.mark.parametrize(
    ("header", "waived"),
    [
        (b"TLS-Required: No\r\n", True),
        (b"Subject: x\r\ntls-required:no\r\nTo: a@b.example\r\n", True),
        (b"TLS-REQUIRED :\r\n  NO\r\nTo: a@b.example\r\n", True),
        (b"TLS-Required: Yes\r\n", False),
        (b"TLS-Required: No, thanks\r\n", False),
        (b"TLS-Required: No\r\nTLS-Required: No\r\n", False),
        (b"TLS-Required: No\r\nTLS-Required: Yes\r\n", False),
        (b"X-TLS-Required: No\r\n", False),
        (b"Subject: TLS-Required: No\r\n", False),
        (b"", False),
    ],
)
def test_tls_is_waived_by_exactly_one_tls_required_field_with_the_value_no(
    header: bytes, waived: bool
) -> None:
    assert waives_tls(header) is waived


@pytest.mark.req("RFC8689-4.3-02")
def test_waive_tls_leaves_exactly_one_tls_required_field() -> None:
    message = EmailMessage()
    message["Subject"] = "It must arrive"
    for _ in range(2):
        waive_tls(message)
    assert message.get_all("TLS-Required") == ["No"]
    assert waives_tls(bytes(message))
