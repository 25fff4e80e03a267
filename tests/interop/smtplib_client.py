"""Python's smtplib as a client."""

from __future__ import annotations

import smtplib

from tests.interop.programs import TIMEOUT, Certificate


def dial(port: int) -> smtplib.SMTP:
    """Connect to a server on this machine."""
    return smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT)


def dial_lmtp(port: int) -> smtplib.LMTP:
    """Connect to an LMTP server on this machine."""
    return smtplib.LMTP("127.0.0.1", port, timeout=TIMEOUT)


def dial_tls(port: int, certificate: Certificate, *, implicit: bool = False) -> smtplib.SMTP:
    """Connect with STARTTLS, or with *implicit* TLS, and verify the server."""
    if implicit:
        return smtplib.SMTP_SSL("127.0.0.1", port, timeout=TIMEOUT, context=certificate.client)
    client = dial(port)
    client.starttls(context=certificate.client)
    return client


def offered(client: smtplib.SMTP) -> dict[str, str]:
    """Send EHLO. Return the keywords that the server offers, with their parameters."""
    assert client.ehlo()[0] == 250
    return {keyword.upper(): rest for keyword, rest in client.esmtp_features.items()}


def send_chunk(client: smtplib.SMTP, chunk: bytes, *last: str) -> int:
    """Send BDAT (RFC 3030). Return the code of the reply, or of the first reply in LMTP."""
    client.send(" ".join(["BDAT", str(len(chunk)), *last]).encode() + b"\r\n" + chunk)
    return client.getreply()[0]
