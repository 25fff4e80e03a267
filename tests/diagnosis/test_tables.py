"""The tables of causes: complete, consistent, with sources where a single receiver is meant."""

from __future__ import annotations

import csv
from pathlib import Path

from smtpproto import errors
from smtpproto.diagnosis.common_signs import COMMON_SIGNS
from smtpproto.diagnosis.faults import FAULTS
from smtpproto.diagnosis.receiver_signs import RECEIVER_SIGNS
from smtpproto.diagnosis.reply_codes import CODES, LIKELY

REGISTRY = Path(__file__).parents[2] / "docs/rfc/codes.csv"


def test_every_registered_reply_code_has_a_meaning() -> None:
    with REGISTRY.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == "reply"]
    assert {int(row["code"]) for row in rows if row["code"].isdecimal()} <= CODES.keys()


def test_likely_faults_are_in_the_tables() -> None:
    known = FAULTS.keys() | {it.fault for it in COMMON_SIGNS}
    assert {fault for faults in LIKELY.values() for fault in faults} <= known
    assert LIKELY.keys() <= CODES.keys()


def test_every_class_of_errors_without_a_reply_has_causes() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name != "CHECKS"]
    assert {kind.fault for kind in kinds} - {""} <= FAULTS.keys()


def test_each_sign_of_a_receiver_names_codes_and_a_source() -> None:
    for sign in RECEIVER_SIGNS:
        assert sign.codes and (sign.alone or sign.text), sign
        assert any(it.source for it in sign.causes), sign


def test_causes_are_sentences() -> None:
    tables = [*FAULTS.values(), *(it.causes for it in (*COMMON_SIGNS, *RECEIVER_SIGNS))]
    for cause in {cause for causes in tables for cause in causes}:
        assert cause.what.endswith(".") and cause.mend.endswith((".", ")")), cause
        assert cause.what[0].isupper() and "  " not in cause.what + cause.mend, cause
        assert cause.source == "" or cause.source.startswith(("http://", "https://")), cause
