"""Limits: values that are refused."""

from __future__ import annotations

import pytest

from smtpproto import Limits


@pytest.mark.req("RFC4954-9-02")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_limit_below_three_failed_logins_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="failed_logins"):
        Limits(failed_logins=number)
