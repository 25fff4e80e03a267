"""Secrets of a wrong type in credentials."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import BearerToken, Login, Secret


@pytest.mark.parametrize("value", [7, 10**30, None, 1.5, ["x"]], ids=repr)
def test_a_secret_that_is_neither_bytes_nor_str_is_a_type_error(value: Any) -> None:
    """``bytes(7)`` is seven NULs: a PIN passed as a number would become another password."""
    for make in (Secret, lambda it: Login("ann", it), lambda it: BearerToken("ann", it)):
        with pytest.raises(TypeError, match="pass "):
            make(value)


def test_a_token_function_that_returns_none_is_a_type_error() -> None:
    source: Any = lambda: None  # noqa: E731
    with pytest.raises(TypeError, match="the token function returned NoneType"):
        BearerToken("ann", source).fetched().send(None)
