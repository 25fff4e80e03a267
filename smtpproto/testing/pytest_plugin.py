"""The pytest plugin: fixtures ``smtpd`` and ``async_smtpd``, and the marker ``smtpd``.

It loads nothing of the library before a test uses a fixture. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from .smtpd import SMTPD, AsyncSMTPD, SMTPDOptions

__all__ = ["async_smtpd", "smtpd", "smtpd_options"]

S = TypeVar("S", "SMTPD", "AsyncSMTPD")
_SERVERS = pytest.StashKey["list[SMTPD | AsyncSMTPD]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    text = 'smtpd(tls="starttls", ...): options of the fixture smtpd; see SMTPDOptions'
    config.addinivalue_line("markers", text)


@pytest.fixture
def smtpd_options() -> SMTPDOptions:
    """The options of ``smtpd`` and ``async_smtpd``. Override this fixture to change them for many
    tests; the marker ``smtpd`` of a class or a test changes single ones."""
    return {}


@pytest.fixture
def smtpd(request: pytest.FixtureRequest, smtpd_options: SMTPDOptions) -> Iterator[SMTPD]:
    """A mail server on a free port, in threads: see :class:`.SMTPD`."""
    from .smtpd import SMTPD  # noqa: PLC0415 - only tests that use it pay for it

    server = _make(SMTPD, request, smtpd_options)
    try:
        server.__enter__()
    except OSError as error:
        _fail(request, error)
    yield server
    try:
        server.__exit__(None, None, None)
    except AssertionError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def async_smtpd(request: pytest.FixtureRequest, smtpd_options: SMTPDOptions) -> AsyncSMTPD:
    """A mail server for the loop of the test: ``async with async_smtpd as smtpd:``. See
    :class:`.AsyncSMTPD`."""
    from .smtpd import AsyncSMTPD  # noqa: PLC0415

    return _make(AsyncSMTPD, request, smtpd_options)


def _make(kind: type[S], request: pytest.FixtureRequest, options: SMTPDOptions) -> S:
    """Return a server with *options* and those of the markers, the nearest marker last."""
    merged: dict[str, Any] = dict(options)
    try:
        for marker in reversed([*request.node.iter_markers("smtpd")]):
            if marker.args:
                raise TypeError("the marker smtpd takes only named options")
            merged |= marker.kwargs
        server = kind(**merged)
    except (TypeError, ValueError, ImportError) as error:
        _fail(request, error)
    server.failed = True  # until the test has passed
    request.node.stash.setdefault(_SERVERS, []).append(server)
    return server


def _fail(request: pytest.FixtureRequest, error: Exception) -> NoReturn:
    pytest.fail(f"{request.node.nodeid}: {error}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that has passed, but whose trouble has not all happened."""
    yield
    for server in item.stash.get(_SERVERS, []):
        try:
            server.check_script()
        except AssertionError as error:
            pytest.fail(str(error), pytrace=False)
        server.failed = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the dialogues with a test that has failed."""
    report = yield
    if report.when == "call" and report.failed:
        for server in item.stash.get(_SERVERS, []):
            for number, session in enumerate(server.sessions, 1):
                report.sections.append((f"smtpd session {number}", session))
    return report
