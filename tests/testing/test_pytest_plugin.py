"""The pytest plugin: what a test that fails for the sake of its server says."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import permutations
from pathlib import Path

import pytest

from tests.testing.test_testing_page import PLUGIN

pytest_plugins = ["pytester"]

SEND = """
import pytest, smtplib
from smtpproto.testing import *

def send(smtpd):
    with smtplib.SMTP(smtpd.host, smtpd.port) as mail:
        mail.sendmail("ann@example.org", ["bob@example.org"], "Subject: x\\n\\n")
"""


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=SEND + tests)
    return pytester.runpytest_inprocess(*PLUGIN, "-rA", "--strict-markers", *options)


def test_a_script_that_is_not_played_to_its_end_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.smtpd(trouble=[Greylist(), Refuse("MAIL", skip=5)])
def test_mail(smtpd):
    pass
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_mail: not all of the trouble happened:",
            "  greylist with 451 * (no recipient was tried)",
            "  refuse MAIL with 550 * (0 of 1 times)",
            "* take this out of the script.",
        ]
    )


def test_a_test_that_fails_shows_the_dialogue_and_no_second_error(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
kept = []

@pytest.mark.smtpd(trouble=Refuse("DATA", skip=1))
def test_mail(smtpd):
    send(smtpd)
    kept.append(smtplib.SMTP(smtpd.host, smtpd.port))
    assert smtpd.messages == []

@pytest.fixture
def broken():
    raise KeyError("broken")

@pytest.mark.smtpd(trouble=Greylist())
def test_setup(smtpd, broken):
    pass

@pytest.mark.smtpd(trouble=Greylist())
def test_skipped(smtpd):
    kept.pop().close()
    pytest.skip("for now")
""",
    )
    result.assert_outcomes(failed=1, errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*smtpd session 1*", "C: MAIL FROM:<ann@example.org>*"])


def test_a_client_that_stays_connected_is_an_error_of_its_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
kept = []

@pytest.mark.smtpd(seconds=0.05)
def test_mail(smtpd):
    kept.append(smtplib.SMTP(smtpd.host, smtpd.port))

@pytest.fixture
def client(smtpd):
    with smtplib.SMTP(smtpd.host, smtpd.port) as mail:
        yield mail

def test_a_fixture_may_close_it(client):
    kept.pop().close()
""",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["test_it.py::test_mail: still connected at the end: 127.0.0.1 *"])


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("tsl='starttls'", "SMTPD() got an unexpected argument 'tsl'; did you mean tls=[?]"),
        ("'starttls'", "the marker smtpd takes only named options"),
        ("tls='startls'", "tls must be *"),
        ("extensions=['DSN']", "extensions cannot be of the type list; pass *"),
        ("port=PORT", "*cannot listen on 127.0.0.1 port *; leave out the port, *"),
    ],
)
def test_a_wrong_marker_names_the_test_and_says_what_to_do(
    pytester: pytest.Pytester, marker: str, text: str
) -> None:
    result = run(
        pytester,
        f"""
import socket
taken = socket.create_server(("127.0.0.1", 0))
PORT = taken.getsockname()[1]

@pytest.mark.smtpd({marker})
def test_mail(smtpd):
    pass

def test_close():
    taken.close()
""",
    )
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"test_it.py::test_mail: {text}"])
    result.stdout.no_fnmatch_line("*another exception occurred*")


def test_a_marker_with_options_and_a_misspelt_name_fails_the_test(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\nmarkers = smtps: of the project")
    pytester.makepyfile(
        SEND
        + """
@pytest.mark.smptd(tls="starttls")
def test_misspelt(smtpd):
    pass

@pytest.mark.smtp
@pytest.mark.smtps(why="own")
@pytest.mark.flaky(times=3)
def test_others(smtpd):
    pass
"""
    )
    unknown = "-W", "ignore:Unknown pytest.mark"
    result = pytester.runpytest_inprocess(*PLUGIN, *unknown)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*::test_misspelt: there is no marker smptd; did you mean smtpd?"])


SMTPDFIX = """
import pytest

@pytest.fixture
def smtpd():
    return "the fixture of smtpdfix"
"""


@pytest.mark.parametrize("names", list(permutations(["smtpdfix.fixture", PLUGIN[1]])))
def test_users_of_smtpdfix_keep_their_fixture_and_can_choose(
    pytester: pytest.Pytester, names: tuple[str, str]
) -> None:
    pytester.syspathinsert()
    pytester.mkpydir("smtpdfix").joinpath("fixture.py").write_text(SMTPDFIX)
    chosen = pytester.mkpydir("chosen")
    own = "from smtpproto.testing.smtpd_fixture import smtpd"
    chosen.joinpath("conftest.py").write_text(own)
    marked = "@pytest.mark.smtpd(lmtp=True)\ndef test_lmtp(smtpd):\n    smtpd.messages\n"
    chosen.joinpath("test_chosen.py").write_text(f"import pytest\n{marked}")
    tests = "def test_plain(smtpd):\n    assert smtpd == 'the fixture of smtpdfix'\n"
    pytester.makepyfile(f"import pytest\n{tests}{marked}")
    plugins = [word for name in names for word in ("-p", name)]
    result = pytester.runpytest_inprocess(*plugins, *PLUGIN[2:])
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [f"*::test_lmtp: the fixture smtpd is that of the plugin smtpdfix, *`{own}` in conftest*"]
    )
    result = pytester.runpytest_inprocess(*plugins, *PLUGIN[2:], "-p", "no:smtpdfix.fixture")
    result.assert_outcomes(passed=2, failed=1)


def test_the_markers_of_a_class_and_a_test_add_up_for_both_fixtures(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
import asyncio

@pytest.mark.smtpd(users={"ann": "secret"}, hostname="mx.example.org")
class TestMail:
    @pytest.mark.smtpd(users={})
    def test_threads(self, smtpd):
        send(smtpd)
        assert "mx.example.org" in smtpd.sessions[0]

    @pytest.mark.smtpd(users={}, trouble=Refuse("RCPT"))
    def test_loop(self, async_smtpd):
        async def main():
            async with async_smtpd as smtpd:
                with pytest.raises(smtplib.SMTPRecipientsRefused):
                    await asyncio.to_thread(send, smtpd)
        asyncio.run(main())

@pytest.mark.smtpd(trouble=Refuse("RCPT"))
def test_never_started(async_smtpd):
    pass
""",
    )
    result.assert_outcomes(passed=2, failed=1)


@pytest.mark.soak
def test_it_works_with_several_processes(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.smtpd(tls="starttls")
@pytest.mark.parametrize("number", range(8))
def test_mail(smtpd, number):
    with smtplib.SMTP("localhost", smtpd.port) as mail:
        mail.starttls(context=smtpd.client_context)
        mail.sendmail("ann@example.org", ["bob@example.org"], f"Subject: {number}\\n\\n")
    assert [it.parsed["Subject"] for it in smtpd.messages] == [str(number)]
"""
    run(pytester, tests, "-n", "2").assert_outcomes(passed=8)


def test_the_plugin_loads_nothing_of_the_library_before_a_test_needs_it() -> None:
    program = (
        "import pytest, sys; before = set(sys.modules)\n"
        "import smtpproto.testing.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "smtpproto",
        "smtpproto.late_names",
        "smtpproto.testing",
        "smtpproto.testing.pytest_plugin",
    ]


def test_the_package_names_the_plugin_as_p_does_and_what_the_kit_needs() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    name = PLUGIN[1]
    assert project["entry-points"]["pytest11"] == {name: name}
    needed = {re.split("[<>=]", it)[0] for it in project["optional-dependencies"]["test"]}
    assert needed == {"hypothesis", "pytest", "trustme"}
