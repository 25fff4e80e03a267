"""The pytest plugin: fixtures ``smtpd`` and ``async_smtpd``, and the marker ``smtpd``.

It loads nothing of the library before a test uses a fixture. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from .smtpd import SMTPD, AsyncSMTPD, SMTPDOptions

__all__ = ["async_smtpd", "smtpd_options"]

S = TypeVar("S", "SMTPD", "AsyncSMTPD")
_SERVERS = pytest.StashKey["list[SMTPD | AsyncSMTPD]"]()
_SMTPDFIX = "smtpd", "smtpdfix.fixture"  # names of the plugin smtpdfix
_WAY_OUT = (
    "the fixture smtpd is that of the plugin smtpdfix, and the marker smtpd is not for it. Write"
    " `from smtpproto.testing.smtpd_fixture import smtpd` in conftest.py, or run pytest with"
    " `-p no:smtpd`."
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the fixture ``smtpd`` unless smtpdfix has one: its users may have
    this library only because their program sends mail."""
    text = 'smtpd(tls="starttls", ...): options of the fixture smtpd; see SMTPDOptions'
    config.addinivalue_line("markers", text)
    if not any(map(config.pluginmanager.hasplugin, _SMTPDFIX)):
        config.pluginmanager.import_plugin("smtpproto.testing.smtpd_fixture")


@pytest.fixture
def smtpd_options() -> SMTPDOptions:
    """The options of ``smtpd`` and ``async_smtpd``. Override this fixture to change them for many
    tests; the marker ``smtpd`` of a class or a test changes single ones."""
    return {}


@pytest.fixture
def async_smtpd(request: pytest.FixtureRequest, smtpd_options: SMTPDOptions) -> AsyncSMTPD:
    """A mail server for the loop of the test: ``async with async_smtpd as smtpd:``. See
    :class:`.AsyncSMTPD`."""
    from .smtpd import AsyncSMTPD  # noqa: PLC0415

    return make_server(AsyncSMTPD, request, smtpd_options)


def make_server(kind: type[S], request: pytest.FixtureRequest, options: SMTPDOptions) -> S:
    """Return a server with *options* and those of the markers, the nearest marker last."""
    merged: dict[str, Any] = dict(options)
    _check_markers(request)
    for marker in reversed([*request.node.iter_markers("smtpd")]):
        if marker.args:
            fail_test(request, "the marker smtpd takes only named options")
        merged |= marker.kwargs
    try:
        server = kind(**merged)
    except (TypeError, ValueError, ImportError) as error:
        fail_test(request, error)
    server.failed = True  # until the test has passed
    request.node.stash.setdefault(_SERVERS, []).append(server)
    return server


def _check_markers(request: pytest.FixtureRequest) -> None:
    """Fail the test if a marker with options is unknown, and nearly called ``smtpd``."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - not before a test uses a fixture

    known = {re.split(r"[:(]", line)[0].strip() for line in request.config.getini("markers")}
    for marker in request.node.iter_markers():
        near = SequenceMatcher(None, marker.name.lower(), "smtpd").ratio() >= 0.75
        if marker.kwargs and near and marker.name not in known:
            fail_test(request, f"there is no marker {marker.name}; did you mean smtpd?")


def fail_test(request: pytest.FixtureRequest, reason: object) -> NoReturn:
    """Fail the test for this *reason*, without a traceback."""
    raise pytest.fail.Exception(f"{request.node.nodeid}: {reason}", pytrace=False) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that has passed, but whose trouble has not all happened."""
    servers = item.stash.get(_SERVERS, [])
    if not servers and _uses_smtpdfix(item):
        raise pytest.fail.Exception(f"{item.nodeid}: {_WAY_OUT}", pytrace=False)
    yield
    for server in servers:
        try:
            server.check_script()
        except AssertionError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        server.failed = False


def _uses_smtpdfix(item: pytest.Item) -> bool:
    """Return whether a test has our marker, but the fixture of smtpdfix."""
    marked = item.get_closest_marker("smtpd") and "smtpd" in getattr(item, "fixturenames", ())
    return bool(marked) and any(map(item.config.pluginmanager.hasplugin, _SMTPDFIX))


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
