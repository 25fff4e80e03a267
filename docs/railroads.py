"""Draws the diagrams of docs/reference/grammar.md: ``nox -s tables``; the tests compare."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import railroad

from smtpproto.testing.abnf import SMTP, Choice, Literal, Name, Range, Repeat, Sequence

RULES = (
    *("ehlo", "mail", "rcpt", "Path", "Mailbox", "Local-part", "Quoted-string", "Domain"),
    *("address-literal", "esmtp-param", "auth", "xtext", "Reply-line", "ehlo-ok-rsp"),
)
PAGE = Path(__file__).parent / "reference/grammar.md"
START = "<!-- Drawn by `nox -s tables`; do not edit below. -->\n"
CSS = """
svg { background: #fff }
path { stroke: #57606a; stroke-width: 2; fill: none }
rect { stroke: #57606a; stroke-width: 1.5; fill: #fff }
.terminal rect { fill: #dafbe1 }
text { font: 14px ui-monospace, monospace; text-anchor: middle; fill: #1f2328 }
text.comment { font: italic 12px ui-sans-serif, sans-serif; fill: #57606a }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 }
path, rect { stroke: #8b949e }
rect { fill: #161b22 }
.terminal rect { fill: #12361f }
text { fill: #e6edf3 }
text.comment { fill: #9198a1 }
}
"""
Node = Choice | Literal | Name | Range | Repeat | Sequence


def drawn(node: Node) -> railroad.DiagramItem:
    """Return *node* as an item of a diagram."""
    match node:
        case Literal(octets, exact):
            return railroad.Terminal(str(node) if exact else octets.decode())
        case Range(first, last):
            shown = all(0x20 < octet < 0x7F for octet in (first, last))
            return railroad.Terminal(f"{first:c} to {last:c}" if shown else str(node))
        case Name(name):
            return railroad.NonTerminal(name)
        case Choice(items):
            return railroad.Choice(0, *map(drawn, items))
        case Sequence(items):
            return sequence(items)
        case Repeat(item, least, most):
            return repeated(drawn(item), least, most)


def sequence(items: tuple[Node, ...]) -> railroad.DiagramItem:
    """Return the items in a row. A list, ``item *( separator item )``, is one loop, with the
    separator on its way back."""
    shown: list[railroad.DiagramItem] = []
    for number, item in enumerate(items):
        match item:
            case Repeat(Sequence((separator, last)), 0, None) if last in items[:number][-1:]:
                shown[-1] = railroad.OneOrMore(drawn(last), drawn(separator))
            case _:
                shown.append(drawn(item))
    return railroad.Sequence(*shown) if len(shown) > 1 else shown[0]


def repeated(item: railroad.DiagramItem, least: int, most: int | None) -> railroad.DiagramItem:
    if most == 1:
        return item if least else railroad.Optional(item)
    times = f"{least} times" if least == most else f"at most {most} times" if most else ""
    if not times and least > 1:
        times = f"at least {least} times"
    loop = railroad.OneOrMore(item, railroad.Comment(times) if times else None)
    return loop if least else railroad.Optional(loop)


def svg(rule: str) -> str:
    """Return the diagram of *rule*."""
    text = io.StringIO()
    railroad.Diagram(drawn(SMTP[rule].node)).writeStandalone(text.write, CSS)
    return text.getvalue() + "\n"


def entry(rule: str) -> str:
    """Return what the page has of *rule*."""
    _, number, section = SMTP[rule].reference.split()
    link = f"https://www.rfc-editor.org/rfc/rfc{number}#section-{section}"
    heading = f"[{SMTP[rule].reference}]({link}): `{SMTP[rule]}`"
    return f"\n{heading}\n\n![{rule} as a railroad diagram](grammar/{rule.lower()}.svg)\n"


def main() -> None:
    """Write the diagrams, or with ``--check`` exit unless they are up to date."""
    head = PAGE.read_text().partition(START)[0]
    files = {PAGE.with_suffix("") / f"{rule.lower()}.svg": svg(rule) for rule in RULES}
    files[PAGE] = head + START + "".join(map(entry, RULES))
    if "--check" in sys.argv:
        stale = [path.name for path, text in files.items() if path.read_text() != text]
        sys.exit(f"run docs/railroads.py for {', '.join(stale)}" if stale else 0)
    PAGE.with_suffix("").mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
