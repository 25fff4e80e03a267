"""Both machines answer near-legal lines as they did before there was a short way to read them."""

from __future__ import annotations

import pytest

from tests.protocol import known_answers

ORDINARY = {"server": 4, "client": 2}  # blocks; the soak tests have all


def _check(side: str, number: int) -> None:
    answers = known_answers.block(side, number)
    text = f"show the answers: python -m tests.protocol.known_answers {side} {number}"
    assert known_answers.digest(answers) == known_answers.known()[side, number], text


@pytest.mark.parametrize("side", ORDINARY)
def test_answers_to_some_lines_are_as_they_were(side: str) -> None:
    for number in range(ORDINARY[side]):
        _check(side, number)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("side", "part"), [(side, part) for side in known_answers.BLOCKS for part in range(8)]
)
def test_answers_to_all_lines_are_as_they_were(side: str, part: int) -> None:
    for number in range(part, known_answers.BLOCKS[side], 8):
        _check(side, number)


def test_half_of_the_lines_are_refused_and_others_are_not() -> None:
    answers = [answer for _, answer in known_answers.block("server", 0)]
    refused = sum("Rejected" in answer for answer in answers)
    assert len(answers) * 0.3 < refused < len(answers) * 0.7
