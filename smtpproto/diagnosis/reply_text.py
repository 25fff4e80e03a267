"""Finds the reply in a text that somebody pastes: a code, a delivery report, a line of a log."""

from __future__ import annotations

import re

from .signs import ReplyFacts

__all__ = ["read_reply_text"]

_LONGEST = 65536  # characters of a text
_ENHANCED = r"[245]\.\d{1,3}\.\d{1,3}"
# A code, and an enhanced code of the same class after it. "#" and ";" stand before it in reports of
# Exchange and in Diagnostic-Code; smtplib shows (550, b'5.1.1 ...').
_START = r"(?:^|(?<=[\s(\[\"'#;:>|]))"
_BETWEEN = r"(?:[ -]+#?|, b?['\"])"
_BOTH = re.compile(
    rf"{_START}(?P<code>([245])\d\d){_BETWEEN}(?P<enhanced>\2\.\d{{1,3}}\.\d{{1,3}})(?![\d.]*\d)",
    re.MULTILINE,
)
_SAID = re.compile(
    r"(?:said: |[Dd]iagnostic-[Cc]ode: *smtp; *|response: |after [^:\n]{1,300}: |error: )"
    r"(?P<code>[2-5]\d\d)(?=[ -])"
)
_CODE = re.compile(rf"{_START}(?P<code>[2-5]\d\d)(?=[\s-]|, b?['\"]|$)", re.MULTILINE)
_ALONE = re.compile(rf"(?<![\d.])(?P<enhanced>{_ENHANCED})(?![\d.]*\d)")
_COMMAND = re.compile(
    r"in reply to (?:the )?(?P<postfix>[\w ]{1,40}?)(?: command)?\)"
    r"|after (?:pipelined )?(?P<exim>MAIL FROM|RCPT TO|EHLO|HELO|STARTTLS|AUTH|DATA|end of data|"
    r"initial connection)",
    re.IGNORECASE,
)


def read_reply_text(text: str) -> ReplyFacts:
    """Return the reply in *text*. Raises ValueError if there is no code in it."""
    whole = text[:_LONGEST].replace("\\n", "\n").strip()
    match = next(filter(None, (form.search(whole) for form in (_BOTH, _SAID, _CODE, _ALONE))), None)
    if match is None:
        raise ValueError(
            "there is no reply code in the text; pass for example '550 5.7.1 Relaying denied',"
            " 5.7.26 or 421"
        )
    found = match.groupdict()
    code, enhanced = int(found.get("code") or 0), found.get("enhanced") or ""
    rest = whole[match.end() :]
    if not enhanced and code >= 400 and form_is(match, _SAID):
        alone = re.search(rf"\bdsn=({_ENHANCED})", whole)
        enhanced = alone[1] if alone and alone[1][0] == str(code)[0] else ""
    command = _COMMAND.search(whole)
    return ReplyFacts(
        code=code,
        enhanced=enhanced,
        text=_cleaned(rest, code, enhanced),
        command=_named(command),
    )


def form_is(match: re.Match[str], form: re.Pattern[str]) -> bool:
    """Return whether *form* found *match*."""
    return match.re is form


def _named(match: re.Match[str] | None) -> str:
    """Return the command that the text names, as errors name it."""
    if match is None:
        return ""
    words = (match["postfix"] or match["exim"]).strip()
    return {"end of DATA": "end of data"}.get(words, words)


def _cleaned(rest: str, code: int, enhanced: str) -> str:
    """Return the text of a reply on one line, without the codes at the start of its lines and
    without what the log adds after it."""
    rest = re.split(r"\(in reply to |\n\s*\n|\n[A-Z][\w-]+: ", rest, maxsplit=1)[0]
    if code:
        prefix = (
            rf"\s*(?:^|\s){code}[- ](?:{re.escape(enhanced)} ?)?"
            if enhanced
            else rf"(?:^|\s){code}[- ]"
        )
        rest = re.sub(prefix, " ", rest)
    text = " ".join(rest.split()).strip("-: ,").removesuffix(")").strip("'\" ")
    if text.count("(") > text.count(")"):
        text += ")"
    return "".join(filter(str.isprintable, text))
