"""nodemailer sends to the server for tests, as docs/tutorials/testing.md shows it."""

from __future__ import annotations

import re

import pytest

from tests.interop.programs import find_program
from tests.interop.sources import Sources
from tests.testing.test_testing_page import NODEMAILER, PAGE, PLUGIN

pytest_plugins = ["pytester"]


@pytest.mark.peer("nodemailer")
def test_the_test_of_a_program_with_nodemailer_passes(
    pytester: pytest.Pytester, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_program("node")
    monkeypatch.setenv("NODE_PATH", str(sources.install_node("nodemailer@10.6.1")))
    (program,) = re.findall(r"^```js\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    pytester.makefile(".js", welcome=program)
    pytester.makepyfile(NODEMAILER)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)
