"""docs/reference/policy/README.md: a page for each RFC, and bounds that tests show."""

from __future__ import annotations

import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from smtpproto.mail import one_click_url
from tests.test_public_face import check_imports

from .test_bad_input import AUTHORS, DMARC_QUESTIONS, SETS, SIGNATURES, SPF_QUESTIONS

PAGES = Path(__file__).parents[2] / "docs/reference/policy"
PAGE = (PAGES / "README.md").read_text()
QUESTIONS = SPF_QUESTIONS + SIGNATURES + SETS + 1 + AUTHORS * DMARC_QUESTIONS


def test_the_tests_that_the_page_names_exist() -> None:
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(\w+)`", PAGE)
    assert len(named) == PAGE.count("::") > 15
    for file, test in named:
        assert f"def {test}(" in (PAGES.parents[2] / file).read_text(), (file, test)


def test_the_page_has_the_numbers_of_questions() -> None:
    for number in (SPF_QUESTIONS, SIGNATURES, SETS + 1, DMARC_QUESTIONS, QUESTIONS):
        assert re.search(rf"\| {number}\b", PAGE), number


def test_each_page_says_what_is_supported_and_what_not() -> None:
    links = re.findall(r"^\| (\d{4}) \|.*?\]\((\S+?)\)", PAGE, re.MULTILINE)
    assert {file for _, file in links} == {it.name for it in PAGES.glob("*.md")} - {"README.md"}
    for number, file in links:
        text = (PAGES / file).read_text()
        sections = re.findall(r"^## (.*)\n\n(\|.*\|)$", text, re.MULTILINE)
        assert sections[-3:] == [
            ("What is supported", "| RFC | section | support |"),
            ("What is not supported", "| what | why |"),
            ("Bad input", "| input | result |"),
        ], file
        assert f"\n| {number} |" in text, (number, file)


def test_the_snippet_adds_a_button_and_takes_its_request() -> None:
    page = (PAGES / "unsubscribe.md").read_text()
    [snippet] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    check_imports(snippet)
    names: dict[str, Any] = {}
    exec(snippet, names)
    message = EmailMessage()
    names["add_button"](message, "42")
    path = one_click_url(bytes(message)).removeprefix("https://lists.example.org")
    form = "application/x-www-form-urlencoded"
    assert names["leave"](path, b"List-Unsubscribe=One-Click", form) == (200, "42")
    assert names["leave"](path + "0", b"List-Unsubscribe=One-Click", form) == (400, "")
    assert names["leave"](path, b"", form) == (400, "")
