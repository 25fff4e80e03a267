"""Warnings about stored keys that make SCRAM impossible."""

from __future__ import annotations

import pytest

from smtpproto import ScramKeys, StoredKeys


def test_users_without_a_common_hash_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    keys = {name: ScramKeys.derive("x", salt=b"x", hash_name=name) for name in ("SHA-1", "SHA-256")}
    StoredKeys({"ann": keys["SHA-1"], "bob": keys["SHA-256"]})
    assert "no SCRAM" in caplog.text
    caplog.clear()
    StoredKeys({"ann": list(keys.values()), "bob": keys["SHA-256"]})
    StoredKeys({})
    assert not caplog.text
