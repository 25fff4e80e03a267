"""Messages of a healthy domain, signed or not, for the doctor."""

from __future__ import annotations

from smtpproto.adapters.blocking import run
from smtpproto.adapters.cryptography_keys import CryptographyKeys
from smtpproto.doctor import Examination, examine_message
from smtpproto.policy import DKIM, DKIMSigner, SPFRequest
from tests.doctor.healthy import DOMAIN, HOSTS, SELECTOR, SIGNING_KEY, World

NOW = 1767225600.0
ADDRESS = HOSTS["mx1.example.org"]
PLAIN = (
    b"From: Ann <ann@example.org>\r\n"
    b"To: bob@example.com\r\n"
    b"Subject: hello\r\n"
    b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
)
MAILING = (
    b"List-Unsubscribe: <mailto:u@example.org>, <https://example.org/u/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
)
RECEIVED = (
    b"Return-Path: <ann@example.org>\r\n"
    b"Received: from mx1.example.org (mx1.example.org [198.51.100.1])\r\n"
    b"\tby mx.example.com with ESMTPS id 2; Thu, 1 Jan 2026 00:00:07 +0000\r\n"
    b"Received: from laptop ([192.0.2.9]) by mx1.example.org with ESMTPSA id 1;\r\n"
    b"\tThu, 1 Jan 2026 00:00:05 +0000\r\n"
)


def examine(
    message: bytes, world: World | None = None, request: SPFRequest | None = None
) -> Examination:
    """Let the doctor examine *message*."""
    zone = (world or World()).zone
    return run(examine_message(message, zone, CryptographyKeys(), now=NOW, request=request))


def signed(header: bytes = PLAIN, before: bytes = RECEIVED) -> bytes:
    """Return a message that the domain has signed, with the fields *before* it."""
    message = header + b"\r\nhello\r\n"
    signer = DKIMSigner(DKIM(DOMAIN, selector=SELECTOR, key=SIGNING_KEY))
    return before + run(signer.sign(message, now=NOW)) + message
