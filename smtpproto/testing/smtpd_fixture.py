"""The pytest fixture ``smtpd``.

The plugin registers it, unless smtpdfix is installed, which has a fixture of this name. Import it
in ``conftest.py`` to have it all the same. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .pytest_plugin import fail_test, make_server

if TYPE_CHECKING:
    from .smtpd import SMTPD, SMTPDOptions

__all__ = ["smtpd"]


@pytest.fixture
def smtpd(request: pytest.FixtureRequest, smtpd_options: SMTPDOptions) -> Iterator[SMTPD]:
    """A mail server on a free port, in threads: see :class:`.SMTPD`."""
    from .smtpd import SMTPD  # noqa: PLC0415 - only tests that use it pay for it

    server = make_server(SMTPD, request, smtpd_options)
    try:
        server.__enter__()
    except (OSError, TypeError, ValueError) as error:
        fail_test(request, error)
    yield server
    try:
        server.__exit__(None, None, None)
    except AssertionError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
