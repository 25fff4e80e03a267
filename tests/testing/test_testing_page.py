"""The code in docs/tutorials/testing.md does what the page says, and what it lists exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smtpproto import ServerOptions
from smtpproto.testing import SMTPD, ReceivedMessage, SMTPDOptions, trouble

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs/tutorials/testing.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(OPTIONS,) = (it for it in SNIPPETS if "def smtpd_options" in it)
(ALONE,) = (it for it in SNIPPETS if "with SMTPD(" in it)
(NODEMAILER,) = (it for it in SNIPPETS if "def test_nodemailer" in it)
TESTS = "from smtpproto.testing import SMTPD\n" + "\n".join(
    it for it in SNIPPETS if it not in (OPTIONS, ALONE, NODEMAILER)
)
PLUGIN = (
    *("-p", "smtpproto.testing.pytest_plugin", "-p", "no:cacheprovider", "-W", "error"),
    # Django 6.1 has MAILERS for these settings too, which older releases do not know.
    *("-W", "ignore:The EMAIL_"),
)
CONFTEST = """
import asyncio, inspect, pytest
from django.conf import settings

if not settings.configured:
    settings.configure()

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        names = inspect.signature(pyfuncitem.obj).parameters
        asyncio.run(pyfuncitem.obj(**{it: pyfuncitem.funcargs[it] for it in names}))
        return True
"""


def test_the_tests_on_the_page_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    count = TESTS.count("def test_")
    assert count == 9
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=count)


def test_a_fixture_overrides_the_options_and_a_marker_overrides_the_fixture(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest("import pytest\n" + OPTIONS)
    pytester.makepyfile("""
        import pytest, smtplib

        def offered(smtpd):
            with smtplib.SMTP(smtpd.host, smtpd.port) as mail:
                mail.ehlo()
                return set(mail.esmtp_features)

        def test_of_the_fixture(smtpd):
            assert "starttls" in offered(smtpd) and smtpd.credentials == ("ann", "secret")

        @pytest.mark.smtpd(tls=None, lmtp=False)
        class Test:
            def test_of_the_class(self, smtpd):
                assert "auth" in offered(smtpd)

            @pytest.mark.smtpd(users={})
            def test_of_both(self, smtpd):
                assert not {"auth", "starttls"} & offered(smtpd)
    """)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=3)


def test_the_program_without_pytest_prints_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    exec(ALONE, {})
    assert "'Hello' from ann@example.org to bob@example.org" in capsys.readouterr().out


def table(heading: str) -> set[str]:
    """Return the names in the first column of the table whose heading begins so."""
    _, _, rest = PAGE.partition(f"| {heading} |")
    rows = re.findall(r"^\| (.*?) \|", rest.partition("\n\n")[0], re.MULTILINE)
    return {re.sub(r"\(.*", "", it) for row in rows for it in re.findall(r"`([^`]+)`", row)}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_tables_of_names_are_complete() -> None:
    assert table("of a message") == public(ReceivedMessage)
    assert table("of `smtpd`") == public(SMTPD) - {"check_script"} | {"host"}


def test_the_table_of_options_is_complete() -> None:
    own = SMTPDOptions.__annotations__.keys() - ServerOptions.__annotations__.keys()
    assert {it for it in table("option") if it.isidentifier()} == own


@pytest.mark.parametrize(
    "written", re.findall(r"`((?:Refuse|Greylist|Delay|Drop)\([^`]*\))`", PAGE)
)
def test_each_trouble_on_the_page_can_be_made(written: str) -> None:
    made = eval(written, vars(trouble))
    assert isinstance(made, trouble.Trouble)
    assert str(made).startswith(type(made).__name__.lower())


def test_the_points_on_the_page_are_all() -> None:
    listed = PAGE.partition("The points are ")[2].partition("`times` is")[0]
    assert set(re.findall(r'`"([^"]+)"`', listed)) == set(trouble.POINTS)
