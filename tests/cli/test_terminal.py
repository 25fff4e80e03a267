"""What is printed in colour, and what is plain."""

from __future__ import annotations

import io
import json
import sys

import pytest

from smtpproto.cli.terminal import Style, print_json_line, printer, wants_colour


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


PIPE = io.StringIO()


@pytest.mark.parametrize(
    ("stream", "environment", "colours"),
    [
        (Screen(), {"TERM": "xterm"}, True),
        (Screen(), {}, True),
        (Screen(), {"TERM": "dumb"}, False),
        (Screen(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (PIPE, {"TERM": "xterm"}, False),
        (PIPE, {"FORCE_COLOR": "1"}, True),
        (PIPE, {"FORCE_COLOR": ""}, False),
        (PIPE, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colours_are_for_people_and_can_be_turned_off_and_on(
    stream: io.StringIO, environment: dict[str, str], colours: bool
) -> None:
    assert wants_colour(stream, environment) is colours


def test_a_closed_stream_gets_no_colours() -> None:
    stream = io.StringIO()
    stream.close()
    assert not wants_colour(stream, {})


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("TERM", "xterm")


LINE = ("accepted", Style.GOOD), "  [bold]x[/] :smile: " + "long " * 40


@pytest.mark.usefixtures("_terminal")
def test_a_terminal_gets_styles_and_the_same_text() -> None:
    screen, pipe = Screen(), io.StringIO()
    printer(screen).line(*LINE)
    printer(pipe).line(*LINE)
    assert screen.getvalue() == pipe.getvalue().replace("accepted", "\x1b[32maccepted\x1b[0m")


@pytest.mark.usefixtures("_terminal")
def test_a_terminal_gets_plain_text_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [it for it in sys.modules if it.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    screen = Screen()
    printer(screen).line(("accepted", Style.GOOD), " bob")
    assert screen.getvalue() == "accepted bob\n"
    assert not printer(screen).in_colour


def test_values_of_a_stream_are_one_line_each_in_ascii() -> None:
    stream = io.StringIO()
    print_json_line({"to": "j\u00f6rg\u2028"}, stream)
    assert stream.getvalue() == '{"to": "j\\u00f6rg\\u2028"}\n'
    assert json.loads(stream.getvalue()) == {"to": "j\u00f6rg\u2028"}
