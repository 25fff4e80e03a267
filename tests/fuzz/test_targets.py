"""Each fuzz target with a few inputs, and with those that once found a fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from tests.fuzz.seeds import inputs
from tests.fuzz.targets import TARGETS

FOUND = sorted(Path(__file__).parent.glob("found/*/*"))


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
def test_no_input_makes_a_target_raise(target: str, data: DataObject) -> None:
    TARGETS[target](data.draw(inputs(target)))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_fault_that_was_found_stays_mended(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())
