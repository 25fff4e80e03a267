"""The credentials that a client logs in with."""

from __future__ import annotations

from smtpproto import Anonymous, Login, ScramKeys, Secret


def test_no_credential_shows_its_secret() -> None:
    keys = ScramKeys.derive("hunter2", salt=bytes(16))
    assert "hunter2" not in repr([Login("ann", "hunter2"), Anonymous(), keys, Secret("hunter2")])
