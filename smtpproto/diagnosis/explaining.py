"""From a reply, or from a failure, to a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import evolve, frozen

from .cause import Cause, Who
from .common_signs import COMMON_SIGNS
from .diagnosis import Diagnosis
from .faults import FAULTS
from .receiver_signs import RECEIVER_SIGNS
from .reply_codes import LIKELY, meaning_of
from .reply_text import read_reply_text
from .signs import ReplyFacts, Sign
from .status_causes import cause_of, is_specific
from .status_meanings import MEANINGS

__all__ = ["Failure", "diagnose", "explain"]

_MOST = 5  # causes
_BY_FAULT: Mapping[str, tuple[Cause, ...]] = {
    **FAULTS,
    **{sign.fault: sign.causes for sign in reversed(COMMON_SIGNS)},
}
_BY_DIGIT = {
    4: Cause(
        "The server could not do it now; the reply does not say why.",
        Who.OTHER_SIDE,
        "Try again later without a change. If it goes on for days, ask the server's postmaster.",
    ),
    5: Cause(
        "The server will not do it; the reply does not say why.",
        Who.YOU,
        "Change what was refused before you try again. Ask the server's postmaster, with the reply"
        " and the time.",
    ),
}
_CLASSES = {
    "2": "The message or command was accepted.",
    "4": "The attempt failed, but a later one may succeed.",
    "5": "The attempt failed for good.",
}
_SUBJECTS = {
    0: "It says no more.",
    1: "It is about an address.",
    2: "It is about the recipient's mailbox.",
    3: "It is about the mail system of the server.",
    4: "It is about the network or the route.",
    5: "It is about the conversation between the two programs.",
    6: "It is about the content of the message.",
    7: "It is about security or a rule of the server.",
}
_SUBJECTS_OF = {  # of faults that a reply code suggests, where an enhanced code may deny it
    "unknown-user": {1, 2},
    "sender-refused": {1, 7},
    "relaying-denied": {1, 4, 7},
    "blocklisted": {7},
    "taken-for-spam": {6, 7},
    "mailbox-full": {2, 3},
    "message-too-large": {2, 3},
    "login-required": {7},
}


@frozen(kw_only=True)
class Failure:
    """What an error knows. All text must be printable."""

    what: str
    """What failed."""
    fault: str = ""
    """The name of the failure, a key of :data:`.FAULTS`, or ""."""
    phase: str = ""
    command: str = ""
    check: str = ""
    """What the error says to check, or ""."""
    facts: ReplyFacts | None = None
    """The reply that was read then, or None."""


def explain(text: str) -> Diagnosis:
    """Return what a reply means, who must act and what to try.

    *text* is a reply code, an enhanced code or a whole reply, of one line or more, as it stands in
    a delivery report or in a log of Postfix or Exim. Raises ValueError if there is no code in it.
    """
    facts = read_reply_text(text)
    tells = facts.detail is not None and is_specific(*facts.detail)
    by_status = tells or not facts.code
    return _of_reply(
        facts, what=_meaning_of_status(facts.enhanced) if by_status else meaning_of(facts.code)
    )


def diagnose(failure: Failure) -> Diagnosis:
    """Return the diagnosis of *failure*."""
    what, facts, fault = _sentence(failure.what), failure.facts, failure.fault
    if fault == "timed-out" and failure.phase == "connect":
        fault = "connect-timeout"
    if facts is not None and facts.code >= 400:
        return _of_reply(facts, what=what, phase=failure.phase, fault=fault)
    return Diagnosis(
        what=what,
        fault=fault,
        phase=failure.phase,
        command=failure.command,
        reply="" if facts is None else _shown(facts),
        causes=FAULTS.get(fault) or (_unknown(failure.check),),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def _unknown(check: str) -> Cause:
    """Return the cause to tell if no table knows more than the error itself."""
    return Cause(
        "The text of the error says what is known.",
        Who.YOU,
        f"Check {check or 'what the text says, and the log of the server'}.",
    )


def _of_reply(facts: ReplyFacts, *, what: str, phase: str = "", fault: str = "") -> Diagnosis:
    signs = _signs_of(facts) if _is_refusal(facts) else ()
    told = [cause for sign in signs for cause in sign.causes] or [*FAULTS.get(fault, ())]
    causes = (told or _of_codes(facts)) + _of_receivers(facts) if _is_refusal(facts) else told
    return Diagnosis(
        what=what,
        fault=signs[0].fault if signs else fault,
        phase=phase,
        command=facts.command,
        reply=_shown(facts),
        meanings=tuple(_meanings(facts, what)),
        causes=tuple(dict.fromkeys(causes))[:_MOST],
    )


def _is_refusal(facts: ReplyFacts) -> bool:
    return facts.code >= 400 or (not facts.code and facts.enhanced[:1] in ("4", "5"))


def _signs_of(facts: ReplyFacts) -> tuple[Sign, ...]:
    """Return the signs that the reply has: those of receivers, then those of many servers. Where
    some are in its text, those that only its codes show are left out; of each fault, the first is
    returned."""
    found = [it for it in (*RECEIVER_SIGNS, *COMMON_SIGNS) if it.fits(facts)]
    told = [it for it in found if it.text] or found
    first: dict[str, Sign] = {}
    for sign in told:
        first.setdefault(sign.fault, sign)
    return tuple(first.values())


def _of_codes(facts: ReplyFacts) -> list[Cause]:
    """Return the causes that the codes of a reply suggest."""
    if facts.detail is not None and (is_specific(*facts.detail) or facts.code not in LIKELY):
        status = cause_of(*facts.detail)
        return [Cause(status.what, status.remedy.who, status.remedy.mend)]
    likely = [it for it in LIKELY.get(facts.code, ()) if _may_be(it, facts)]
    return [cause for fault in likely for cause in _BY_FAULT[fault][:1]] or [
        _BY_DIGIT[facts.code // 100]
    ]


def _may_be(fault: str, facts: ReplyFacts) -> bool:
    """Return whether the enhanced code, which may say no more than its subject, allows *fault*."""
    subject = 0 if facts.detail is None else facts.detail[0]
    return not subject or subject in _SUBJECTS_OF.get(fault, {subject})


def _of_receivers(facts: ReplyFacts) -> list[Cause]:
    """Return what single receivers mean by a reply of which only the codes are known."""
    signs = (it for it in RECEIVER_SIGNS if it.may_fit(facts) and not it.alone)
    return [
        evolve(cause, what=f"From {sign.receiver}: {cause.what}")
        for sign in signs
        for cause in sign.causes
    ]


def _meanings(facts: ReplyFacts, what: str) -> Iterator[str]:
    if facts.code and (meaning := meaning_of(facts.code)) != what:
        yield f"{facts.code}: {meaning}"
    if facts.detail not in (None, (0, 0)):
        meaning = _meaning_of_status(facts.enhanced)
        if meaning != what:
            yield f"{facts.enhanced}: {meaning}"


def _meaning_of_status(enhanced: str) -> str:
    """Return what an enhanced code means; for an unknown one, what its parts say (RFC 3463 2)."""
    class_, subject, detail = map(int, enhanced.split("."))
    if known := MEANINGS.get((subject, detail)):
        return known
    parts = [_CLASSES.get(str(class_), ""), _SUBJECTS.get(subject, "")]
    return " ".join(filter(None, [*parts, f"The detail {detail} is not registered."]))


def _shown(facts: ReplyFacts) -> str:
    parts = [str(facts.code) if facts.code else "", facts.enhanced, facts.text]
    return " ".join(filter(None, parts))
