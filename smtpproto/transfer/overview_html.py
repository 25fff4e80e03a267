"""Pages of HTML about a mail agent. They need nothing else, and all text in them is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from ..grammar.printable import printable
from ..mta.explain import attempt_in_words, date, duration, when
from ..mta.queue import Attempt, State
from ..mta.queue_events import DeliveryEvent
from ..mta.queue_values import result_of
from ..mta.store import DomainStats
from .overview import Overview

__all__ = ["STYLE_POLICY", "overview_page", "story_page"]

_STYLE = """
:root { color-scheme: light dark;
  --line: #d0d4da; --soft: #5b6470; --bad: #a4262c; --link: #0b57d0 }
@media (prefers-color-scheme: dark) {
  :root { --line: #3b4048; --soft: #a3abb6; --bad: #ff8a80; --link: #8ab4f8 }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem;
  overflow-wrap: anywhere }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .25rem 0; color: var(--soft) } a { color: var(--link) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0;
  border-top: 1px solid var(--line) }
thead th { border: 0; color: var(--soft); font-weight: normal; white-space: nowrap }
.number { text-align: right; font-variant-numeric: tabular-nums } .bad { color: var(--bad) }
tbody th { min-width: 9rem } .time { min-width: 7rem } .word { white-space: nowrap }
pre { font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; margin: 1rem 0 }
@media (max-width: 50rem) {
  thead { display: none } tr { display: block; padding: .5rem 0; border-top: 1px solid var(--line) }
  th, td { display: block; border: 0; padding: 0; min-width: 0 } .number { text-align: left }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--soft) }
  td:empty { display: none }
}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
STYLE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy of the pages: their own style, and nothing else."""


def overview_page(it: Overview) -> str:
    """Return the page of a mail agent: its queue by destination, and the last failures."""
    stats, name = it.stats, _text(it.hostname)
    counts = [f"{stats.messages} messages", f"{stats.octets} octets"]
    counts += [f"{number} {state.value}" for state, number in stats.deliveries.items()]
    oldest = "" if stats.oldest is None else f", the oldest arrived {when(stats.oldest, it.now)}"
    rows = [_domain_row(domain, its, it) for domain, its in stats.domains.items()]
    failures = [_failure_row(event) for event in it.failures]
    heads = "Destination|Waiting|Leased|Held|Oldest|Transactions|Next attempt|Last attempt"
    return _page(
        f"{name}: queue",
        f"<h1>{name}</h1>",
        f"<p>{_text(', '.join(counts) + oldest)}</p><p>as of {date(it.now)}</p>",
        "<h2>Queue by destination</h2>",
        _table(heads.split("|"), rows) if rows else "<p>The queue is empty.</p>",
        "<h2>Last failures</h2>",
        _table(("Time", "Recipient", "Result", "What happened"), failures)
        if failures
        else "<p>None since the start.</p>",
    )


def story_page(name: str, story: str) -> str:
    """Return the page with the *story* of the message *name*, as :func:`.explain` tells it."""
    return _page(
        f"Message {_text(name)}",
        '<p><a href="/">Queue</a></p>',
        f"<pre>{_escaped_lines(story)}</pre>",
    )


def _page(title: str, *parts: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col">{it}</th>' for it in heads)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _domain_row(domain: str, stats: DomainStats, it: Overview) -> str:
    destination, last = it.destinations.get(domain), stats.last
    paused_until = None if destination is None else destination.paused_until
    running = "" if destination is None else f"{destination.running} of {destination.window}"
    until = "" if stats.due is None else duration(max(stats.due - it.now, 0)) or "now"
    until = f"in {until}" if until not in ("", "now") else until
    if destination is not None and paused_until is not None:
        last = destination.trouble or last
        until = f"paused for {duration(paused_until - it.now) or 'a moment'}"
    age = duration(max(it.now - stats.oldest, 0)) or "0 seconds"
    cells = [
        f'<th scope="row">{_text(domain) or "&lt;Postmaster&gt;"}</th>',
        *(
            _cell(state.value.capitalize(), str(stats.deliveries.get(state) or ""), "number")
            for state in State
        ),
        f'<td class="time" data-label="Oldest">{_link(stats.oldest_id, age)}</td>',
        _cell("Transactions", running, "word"),
        _cell("Next attempt", until, "time" if paused_until is None else "time bad"),
        _cell("Last attempt", _attempt(last)),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _failure_row(event: DeliveryEvent) -> str:
    settlement = event.settlement
    last, result = settlement.last, result_of(settlement)
    time = "without an attempt" if last is None else date(last.at)
    cells = [
        f'<td class="time" data-label="Time">{_link(event.id, time)}</td>',
        _cell("Recipient", str(settlement.delivery.recipient)),
        _cell("Result", result, "word bad" if result in ("failed", "expired") else "word"),
        _cell("What happened", _attempt(last)),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _attempt(attempt: Attempt | None) -> str:
    return "" if attempt is None else attempt_in_words(attempt)


def _cell(label: str, text: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<td{kind} data-label="{label}">{_text(text)}</td>'


def _link(name: str, text: str) -> str:
    return f'<a href="/message/{_text(name)}">{_text(text)}</a>'


def _text(text: str) -> str:
    return escape(printable(text))


def _escaped_lines(text: str) -> str:
    return "\n".join(map(_text, text.split("\n")))
