"""The matrix of requirements and tests: this project's, and its tool on a small project."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.protocol.verbs import vocabulary
from smtpproto.sasl.mechanisms import BY_NAME

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs/rfc"))
matrix = importlib.import_module("matrix")

REQUIREMENTS = """\
id,rfc,section,level,role,layer,requirement,check
RFC1-1-01,1,1,MUST,server,core,Answer <250>.,250
RFC1-1-02,1,1,SHOULD,client,adapter,Wait.,Waits
RFC1-2-01,1,2,MUST NOT,server,config,Give up.,Goes on
RFC2-1-01,2,1,MUST,mta,relay,Queue.,Queued
RFC2-1-02,2,1,MUST,server,deployment,Have a name.,n/a-library: operation
"""
TESTS = """\
import pytest

@pytest.mark.req("RFC1-1-01")
def test_answer():
    from smtpproto.answers import answer
    assert answer() == 250
"""
CODE = """\
def answer():
    return 250  # always
"""
MUTANT = """\
["RFC1-1-01"]
file = "smtpproto/answers.py"
old = '250 '
new = '{} '
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with two covered rows, its page written."""
    write(tmp_path, "docs/rfc/requirements.csv", REQUIREMENTS)
    write(tmp_path, "docs/rfc/sources.csv", "source,title\n1,First\n2,Second\n")
    write(tmp_path, "docs/rfc/waivers.csv", "id,reason\nRFC1-2-*,nothing is ever given up\n")
    write(tmp_path, "docs/rfc/mutants/1.toml", MUTANT.format(251))
    (tmp_path / "docs/reference").mkdir()
    write(tmp_path, "smtpproto/answers.py", CODE)
    write(tmp_path, "tests/a/test_answers.py", TESTS)
    assert matrix.main([], tmp_path) == 0
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def faults(
    root: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1
) -> list[str]:
    assert matrix.main(list(arguments), root) == code
    return capsys.readouterr().err.splitlines()


def test_the_requirements_page_of_this_project_is_up_to_date(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also, every id that a test names exists, no waiver is stale, no covered row lost its tests.

    ``nox -s requirements`` rewrites the page.
    """
    assert faults(ROOT, capsys, "--check", code=0) == []


@pytest.fixture(scope="module")
def project() -> Any:
    """The matrix of this project, which takes a second to read."""
    return matrix.Matrix(ROOT)


def test_every_source_has_a_section_on_the_page(project: Any) -> None:
    assert {row.rfc for row in project.rows.values()} == set(project.titles)


def test_the_page_lists_each_requirement_with_its_state(root: Path) -> None:
    page = (root / "docs/reference/requirements.md").read_text()
    assert "| MUST | 1 | 1 | 1 | 0 | 0 | 1 | 0 |\n" in page
    assert "| MUST NOT | 1 | 0 | 0 | 1 | 0 | 0 | 0 |\n" in page
    assert "| RFC 1: First | 3 | 1 | 1 | 1 | 1 | 0 | 0 |\n" in page
    assert "| RFC 2: Second | 0 | 0 | 0 | 0 | 0 | 1 | 0 |\n" in page
    assert page.partition("## RFC 1: First\n")[2] == (
        "\n"
        "* `RFC1-1-01` MUST: Answer \\<250>.\n"
        "  covered by `tests/a/test_answers.py::test_answer`\n"
        "* `RFC1-1-02` SHOULD: Wait.\n"
        "  **open**\n"
        "* `RFC1-2-01` MUST NOT: Give up.\n"
        "  waived: nothing is ever given up\n"
        "\n"
        "## RFC 2: Second\n"
        "\n"
        "* `RFC2-1-01` MUST: Queue.\n"
        "  open (relay)\n"
        "* `RFC2-1-02` MUST: Have a name.\n"
        "  not for a library: operation\n"
    )


def test_an_outdated_page_is_reported_and_rewritten(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faults(root, capsys, "--check", code=0) == []
    write(root, "tests/test_more.py", TESTS.replace("1-1-01", "2-1-01"))
    assert faults(root, capsys, "--check") == [
        f"docs/reference/{page} is not up to date: run nox -s requirements"
        for page in ("requirements.md", "rfcs.md")
    ]
    assert faults(root, capsys, code=0) == faults(root, capsys, "--check", code=0) == []


def test_an_unknown_requirement_id_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "tests/test_more.py", TESTS.replace("1-1-01", "1-1-99"))
    assert faults(root, capsys) == [
        "RFC1-1-99: no such requirement, named by tests/test_more.py::test_answer"
    ]


BOTH = 'RFC1-3-01,1,3,MUST,both,core,"Listen.",Listens\n'


def test_a_row_that_binds_both_sides_needs_a_test_of_each(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "docs/rfc/requirements.csv", REQUIREMENTS + BOTH)
    project = matrix.Matrix(root)
    assert project.state(project.rows["RFC1-3-01"]) == "open"
    for names, state in [("3-01/client", "open"), ('3-01/client", "RFC1-3-01/server', "covered")]:
        write(root, "tests/test_more.py", TESTS.replace("1-01", names))
        project = matrix.Matrix(root)
        assert project.state(project.rows["RFC1-3-01"]) == state


def test_a_mark_that_does_not_say_the_side_of_a_row_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "docs/rfc/requirements.csv", REQUIREMENTS + BOTH)
    write(root, "tests/test_more.py", TESTS.replace("1-01", "3-01"))
    assert faults(root, capsys) == [
        "RFC1-3-01: write RFC1-3-01/client or RFC1-3-01/server,"
        " named by tests/test_more.py::test_answer"
    ]
    write(root, "tests/test_more.py", TESTS.replace("1-01", "1-01/server"))
    assert faults(root, capsys) == [
        "RFC1-1-01/server: write RFC1-1-01, named by tests/test_more.py::test_answer"
    ]


def test_a_test_of_the_grammar_does_not_cover_a_row_that_binds_a_side(root: Path) -> None:
    (root / "tests/a").rename(root / "tests/grammar")
    for role, state in [("server", "open"), ("grammar", "covered")]:
        write(root, "docs/rfc/requirements.csv", REQUIREMENTS.replace("server", role, 1))
        project = matrix.Matrix(root)
        assert project.state(project.rows["RFC1-1-01"]) == state


def test_a_mutant_of_no_covered_row_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "docs/rfc/mutants/2.toml", MUTANT + MUTANT.replace("1-1-01", "1-1-02"))
    text = "no covered row has this name, or two mutants have it"
    assert faults(root, capsys) == [f"mutant RFC1-1-01: {text}", f"mutant RFC1-1-02: {text}"]


def test_a_required_row_without_a_mutant_is_listed(root: Path) -> None:
    assert matrix.Matrix(root).without_mutant() == []
    write(root, "docs/rfc/mutants/1.toml", "")
    assert matrix.Matrix(root).without_mutant() == ["RFC1-1-01"]


def test_a_covered_requirement_without_a_test_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "tests/a/test_answers.py", "def test_answer(): ...\n")
    write(root, "docs/rfc/mutants/1.toml", "")
    before = (root / "docs/reference/requirements.md").read_text()
    assert faults(root, capsys) == ["RFC1-1-01: covered until now, but no test names it any more"]
    assert (root / "docs/reference/requirements.md").read_text() == before
    write(root, "docs/rfc/waivers.csv", "id,reason\nRFC1-1-01,no answers any more\n")
    assert faults(root, capsys, code=0) == []


@pytest.mark.parametrize(
    "waiver, fault",
    [
        ("RFC1-3-*", "no such requirement"),
        ("RFC1-3-01", "no such requirement"),
        ("rfc1-1-02", "no such requirement"),
        ("RFC1-1-*", "RFC1-1-01 is covered by tests/a/test_answers.py::test_answer"),
        ("RFC1-2-01", "RFC1-2-01 is waived twice"),
    ],
)
def test_a_waiver_of_unknown_or_covered_requirements_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str], waiver: str, fault: str
) -> None:
    with (root / "docs/rfc/waivers.csv").open("a") as file:
        file.write(f"{waiver},a reason\n")
    assert faults(root, capsys) == [f"waiver {waiver}: {fault}"]


def test_marks_are_read_from_modules_classes_functions_and_parameters(root: Path) -> None:
    write(
        root,
        "tests/test_more.py",
        """\
import pytest
pytestmark = [pytest.mark.peer("x"), pytest.mark.req("module")]

@pytest.mark.req("class")
class TestIt:
    pytestmark = pytest.mark.req("body")

    @pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.req("case"))])
    @pytest.mark.req("one", "two", "one")
    async def test_it(self): ...

    def helper(self): ...

def test_other(): ...
""",
    )
    marks = matrix.Marks(root)
    test, other = "tests/test_more.py::TestIt::test_it", "tests/test_more.py::test_other"
    assert marks.tests.pop("module") == [test, other]
    assert marks.tests.pop("RFC1-1-01")
    assert marks.tests == {key: [test] for key in ["class", "body", "case", "one", "two"]}
    assert marks.faults == []


def test_a_mark_that_cannot_be_read_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        root,
        "tests/test_more.py",
        """\
import pytest
CASES = [pytest.param(1, marks=pytest.mark.req("RFC1-1-01"))]

@pytest.mark.req(*CASES)
def test_it(): ...
""",
    )
    assert faults(root, capsys) == [
        "tests/test_more.py:4: write ids as plain strings",
        "tests/test_more.py:2: this mark is on no test",
    ]


def test_a_covered_requirement_needs_a_test_that_passed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = "tests/a/test_answers.py::test_answer"
    write(root, "passed", json.dumps({"RFC1-1-01": [test]}))
    assert faults(root, capsys, "--passed", str(root / "passed"), code=0) == []
    write(root, "passed", json.dumps({"RFC1-1-02": [test]}))
    assert faults(root, capsys, "--passed", str(root / "passed")) == [
        f"RFC1-1-01: no test of it has passed: {test}"
    ]


def test_the_option_open_prints_open_requirements_of_the_given_levels(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert matrix.main(["--open"], root) == 0
    assert capsys.readouterr().out == "RFC1-1-02 SHOULD (client) Wait.\n    Waits\n"
    assert matrix.main(["--open", "MUST", "MUST NOT"], root) == 0
    assert capsys.readouterr().out == ""


PASSING = """\
import pytest

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.req("all")
def test_all(n): ...

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.req("some")
def test_some(n):
    assert n == 1

@pytest.mark.req("skipped")
def test_skipped():
    pytest.skip()

@pytest.fixture
def broken():
    yield
    assert False

@pytest.mark.req("torn_down")
def test_torn_down(broken): ...
"""


@pytest.mark.parametrize(
    "options, names",
    [([], ["all"]), (["--collect-only"], ["all", "skipped", "some", "torn_down"])],
)
def test_pytest_writes_the_requirements_whose_tests_all_passed(
    tmp_path: Path, options: list[str], names: list[str]
) -> None:
    write(tmp_path, "conftest.py", (ROOT / "tests/conftest.py").read_text())
    write(tmp_path, "test_them.py", PASSING)
    command = [sys.executable, "-m", "pytest", "--requirements", "out", *options]
    subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, check=False)
    found = json.loads((tmp_path / "out").read_text())
    assert found == {name: [f"test_them.py::test_{name}"] for name in names}


@pytest.mark.req("RFC6531-3.1-06")
def test_each_server_requirement_of_smtputf8_is_covered(project: Any) -> None:
    """A server that offers it complies with all of RFC 6531: each row for servers has its test."""
    bound = [
        row
        for row in project.rows.values()
        if row.rfc == "6531" and row.counted and row.role in ("server", "both")
        if row.level in ("MUST", "MUST NOT")
    ]
    assert len(bound) > 10
    assert [row.id for row in bound if project.state(row) != "covered"] == []


def test_what_the_page_calls_unsupported_is_unknown_to_the_library() -> None:
    text = importlib.import_module("support").BESIDE.partition("DNS.")[2]
    names = {*re.findall(r"\b[A-Z][A-Z0-9-]{3,}\b", text)} - {"SASL"} | {"MTRK"}
    assert names == {"BURL", "CHECKPOINT", "ATRN", "CONPERM", "GSSAPI", "DIGEST-MD5", "MTRK"}
    assert names.isdisjoint({*EXTENSIONS, *BY_NAME, *vocabulary().verbs})
