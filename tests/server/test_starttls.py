"""STARTTLS on a server that is already under TLS."""

from __future__ import annotations

import pytest

from smtpproto import ServerProtocol


@pytest.mark.req("RFC8314-3.3-03")
def test_starttls_is_neither_offered_nor_accepted_under_implicit_tls() -> None:
    machine = ServerProtocol(hostname="mx", starttls=True, secure=True)
    machine.next_event()
    machine.answer()
    machine.receive(b"EHLO a.example\r\nSTARTTLS\r\n")
    machine.next_event()
    machine.answer()
    machine.next_event()
    replies = machine.data_to_send().split(b"\r\n")
    assert not any(b"STARTTLS" in line for line in replies)
    assert replies[-2].startswith(b"503 ")
