"""The library names the fault where it raises an error, so that the diagnosis has its causes."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from smtpproto import ClientOptions, Login, SMTPError
from smtpproto.adapters.blocking import connect
from smtpproto.adapters.dialling import map_connect_errors
from smtpproto.errors import TransportError
from smtpproto.testing import SMTPD

CONNECTING = [
    (errno.ECONNREFUSED, 587, "connection-refused"),
    (errno.ENETUNREACH, 587, "no-route"),
    (errno.EHOSTUNREACH, 25, "no-route"),
    (errno.ETIMEDOUT, 587, "connect-timeout"),
    (errno.ETIMEDOUT, 25, "port-25-timeout"),
    (errno.EADDRNOTAVAIL, 587, "source-address"),
    (errno.EPIPE, 587, "connect-failed"),
]


@pytest.mark.parametrize(("code", "port", "fault"), CONNECTING)
def test_errors_of_the_system_have_a_fault(code: int, port: int, fault: str) -> None:
    with pytest.raises(TransportError) as caught, map_connect_errors("mx.example.org", port):
        raise OSError(code, os.strerror(code))
    assert caught.value.fault == caught.value.diagnosis.fault == fault


@pytest.mark.parametrize(("port", "fault"), [(25, "port-25-timeout"), (465, "connect-timeout")])
def test_a_connection_that_times_out_on_port_25_is_probably_blocked(port: int, fault: str) -> None:
    with pytest.raises(TransportError) as caught, map_connect_errors("mx.example.org", port):
        raise TimeoutError
    assert caught.value.diagnosis.fault == fault


def test_a_name_that_does_not_exist_has_a_fault_of_its_own() -> None:
    with pytest.raises(TransportError) as caught, map_connect_errors("mx.example.org", 25):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert caught.value.diagnosis.fault == "name-not-found"


OPTIONS: list[tuple[ClientOptions, str]] = [
    ({"tls": "required"}, "starttls-not-offered"),
    ({"tls": "none", "login": Login("ann", "x")}, "login-in-clear"),
    (
        {"tls": "none", "login": Login("ann", "x"), "login_in_clear": True},
        "no-mechanism",
    ),
]


@pytest.mark.parametrize(("options", "fault"), OPTIONS, ids=[fault for _, fault in OPTIONS])
def test_what_the_client_refuses_by_itself_has_a_fault(options: ClientOptions, fault: str) -> None:
    with SMTPD() as smtpd, pytest.raises(SMTPError) as caught:
        connect("127.0.0.1", smtpd.port, **options)
    assert caught.value.diagnosis.fault == fault
    assert caught.value.diagnosis.causes[0].mend
