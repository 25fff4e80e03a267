"""``smtpproto queue``: look into a queue, and change what is in it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from attrs import evolve

from ..adapters.queue_control import QueueControl
from ..delivery import ExitStatus
from ..errors import GrammarError
from ..grammar.printable import printable
from ..mail.header import MAX_HEADER
from ..mail.preparation import pieces_of
from ..mta.explain import attempt_in_words, duration, explain, next_step
from ..mta.queue import State
from ..mta.queue_values import entry_values, stats_values
from ..mta.store import DomainStats, Entry, QueueStats, Selection
from .command_errors import ANSWER_IS_NO, UsageError
from .handlers import escape_line
from .options import add_json_option
from .stores import open_control
from .terminal import print_json

DESCRIPTION = """Show or change the queue in a database, whether or not an MTA works on it.
A running MTA notices a change within about a second. The exit status is 1 if nothing in the queue
matches."""

_QUEUE = "the file of an SQLite database, or the postgresql:// URL of the queue"
_ACTIONS = {
    "list": "print the messages in the queue, with what each recipient waits for",
    "show": "print the envelope and the header of a message",
    "explain": "print why a message waits, what each host answered, and what happens next and when",
    "retry": "try waiting deliveries now",
    "hold": "keep waiting deliveries in the queue until they are released",
    "release": "let held deliveries go on",
    "drop": "take deliveries out of the queue for good, without a report to the sender",
    "stats": "print how many messages are in the queue; for each domain, since when they wait and"
    " why; for each destination, how many transactions may run now",
}
_READS = ("list", "show", "explain", "stats")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    actions = parser.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    for name, help_ in _ACTIONS.items():
        added = actions.add_parser(name, help=help_, description=f"{help_[:1].upper()}{help_[1:]}.")
        added.add_argument("--queue", required=True, metavar="FILE", help=_QUEUE)
        if name in ("show", "explain"):
            added.add_argument("id", metavar="ID", help="id of the message, or its beginning")
        elif name != "stats":
            _add_selection(added, name)
        add_json_option(added)
        if name == "hold":
            reason = "why; queue explain shows it (default: %(default)s)"
            added.add_argument("--reason", default="held by hand", metavar="TEXT", help=reason)


def _add_selection(parser: argparse.ArgumentParser, name: str) -> None:
    add = parser.add_argument
    add("id", nargs="?", metavar="ID", help="id of a message, or its beginning")
    help_ = 'only messages of this sender: ann@x.test, @x.test, or "" for reports'
    add("--from", dest="sender", metavar="ADDRESS", help=help_)
    help_ = "only these recipients: bob@y.test, or @y.test for all of a domain"
    add("--to", dest="recipient", metavar="ADDRESS", help=help_)
    if name == "list":
        states = [state.value for state in State]
        add("--state", choices=states, help="only deliveries in this state")
        help_ = "print at most N messages (default: %(default)s)"
        add("--limit", type=int, default=100, metavar="N", help=help_)
    else:
        add("--all", action="store_true", help="all of the queue")


def run(args: argparse.Namespace) -> int:
    """Do what the options say. Return 1 if nothing matches."""
    try:
        with open_control(args.queue) as queue:
            if args.action in _READS and args.json:
                return _print_values(queue, args)
            if args.action in _READS:
                return _print(_READERS[args.action](queue, args))
            return _change(queue, args)
    except GrammarError as error:
        raise UsageError(f"{error.message}; check: ID, --from and --to") from None


def _print(lines: Iterator[str]) -> int:
    """Print *lines*; return 1 if there are none."""
    status = ANSWER_IS_NO
    for line in lines:
        print(line)
        status = ExitStatus.OK
    if status:
        print("nothing in the queue matches")
    return status


def _print_values(queue: QueueControl, args: argparse.Namespace) -> int:
    """Print as JSON what the command reads; return 1 if nothing matches."""
    if args.action == "stats":
        print_json(stats_values(queue.stats()))
        return ExitStatus.OK
    found: Sequence[Entry]
    if args.action == "list":
        found, more = _find(queue, args)
    else:
        found, more = _entries(queue, args), None
    messages = [entry_values(it, time.time()) for it in found]
    if args.action == "show":
        for message, entry in zip(messages, found, strict=True):
            message["header"] = [*_header(queue, entry)] if entry.deliveries else []
    print_json({"messages": messages} | ({} if more is None else {"more": more}))
    return ExitStatus.OK if found else ANSWER_IS_NO


def _selection(args: argparse.Namespace) -> Selection:
    state = getattr(args, "state", None)
    return Selection(
        id=args.id,
        sender=args.sender,
        recipient=args.recipient,
        state=None if state is None else State(state),
    )


# -- reading -----------------------------------------------------------------------------------


def _list(queue: QueueControl, args: argparse.Namespace) -> Iterator[str]:
    now = time.time()
    found, more = _find(queue, args)
    for entry in found:
        message = entry.message
        sender = printable(str(message.sender)) or "<>"
        yield f"{message.id} from {sender}, {message.size} octets"
        for delivery in entry.deliveries:
            step = next_step(message, delivery, now)
            yield f"  {printable(str(delivery.recipient))} {step}"
    if more:
        yield f"and more; use --limit {2 * args.limit}, or select with --from and --to"


def _find(queue: QueueControl, args: argparse.Namespace) -> tuple[list[Entry], bool]:
    """Return the messages with the deliveries that the options select, and whether there are
    more."""
    selection = _selection(args)
    if args.limit < 1:
        raise UsageError("--limit must be 1 or more")
    found = queue.find(selection, args.limit + 1)
    return [_narrowed(it, selection) for it in found[: args.limit]], len(found) > args.limit


def _narrowed(entry: Entry, selection: Selection) -> Entry:
    """Return *entry* with the deliveries that *selection* selects."""
    matching = (it for it in entry.deliveries if selection.matches(entry.message, it))
    return evolve(entry, deliveries=tuple(matching))


def _entries(queue: QueueControl, args: argparse.Namespace) -> Sequence[Entry]:
    """Return the message that the options name. Raises UsageError if there are several."""
    found = queue.find(Selection(id=args.id), 2)
    if len(found) > 1:
        ids = " and ".join(it.message.id for it in found)
        raise UsageError(
            f"{args.id} is the beginning of several ids, such as {ids}; use more of it"
        )
    return found


def _show(queue: QueueControl, args: argparse.Namespace) -> Iterator[str]:
    for entry in _entries(queue, args):
        message = entry.message
        yield f"from:       {printable(str(message.sender)) or '<>'}"
        for delivery in entry.deliveries:
            yield f"to:         {printable(str(delivery.recipient))} ({delivery.state.value})"
        for ended in entry.ended:
            yield f"to:         {printable(str(ended.delivery.recipient))} ({ended.fate.value})"
        yield f"parameters: {printable(str(message.parameters))}"
        yield f"size:       {message.size} octets"
        if entry.deliveries:
            yield ""
            yield from _header(queue, entry)


def _header(queue: QueueControl, entry: Entry) -> Iterator[str]:
    header = b""
    for piece in pieces_of(cast("Any", queue.content(entry.message))):
        header += piece
        if b"\r\n\r\n" in header or len(header) > MAX_HEADER:
            break
    for line in header.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        yield escape_line(line)


def _explain(queue: QueueControl, args: argparse.Namespace) -> Iterator[str]:
    for entry in _entries(queue, args):
        yield explain(entry, time.time())


def _stats(queue: QueueControl, args: argparse.Namespace) -> Iterator[str]:
    yield from stats_lines(queue.stats(), time.time())


def stats_lines(stats: QueueStats, now: float) -> Iterator[str]:
    """Yield what the command prints of *stats*."""
    yield f"messages: {stats.messages}, {stats.octets} octets"
    for state, number in stats.deliveries.items():
        yield f"{state.value}: {number}"
    if stats.domains:
        heads = "".join(f"{state.value:>8}" for state in State)
        yield f"\n{heads}  {'oldest':23}{'next attempt in':23}domain"
    for domain, its in stats.domains.items():
        yield _domain_line(domain, its, now)
        if its.last is not None:
            yield f"{'':10}{attempt_in_words(its.last)}"
    if stats.destinations:
        yield f"\n{'running':>8}{'window':>8}  {'paused for':23}destination"
    for destination, known in stats.destinations.items():
        until = known.paused_until
        paused = "" if until is None else duration(max(until - now, 0)) or "a moment"
        yield f"{known.running:8}{known.window:8}  {paused:23}{printable(destination)}"
        if known.trouble is not None:
            yield f"{'':10}{attempt_in_words(known.trouble)}"


def _domain_line(domain: str, stats: DomainStats, now: float) -> str:
    numbers = "".join(f"{stats.deliveries.get(state, 0):8}" for state in State)
    oldest = duration(max(now - stats.oldest, 0))
    due = "" if stats.due is None else duration(max(stats.due - now, 0)) or "now"
    return f"{numbers}  {oldest:23}{due:23}{printable(domain) or '<Postmaster>'}"


_READERS: dict[str, Callable[[QueueControl, argparse.Namespace], Iterator[str]]] = {
    "list": _list,
    "show": _show,
    "explain": _explain,
    "stats": _stats,
}


# -- changing ----------------------------------------------------------------------------------


def _change(queue: QueueControl, args: argparse.Namespace) -> int:
    if args.all == any(it is not None for it in (args.id, args.sender, args.recipient)):
        raise UsageError("name what to change: an ID, --from or --to; or use --all alone")
    selection = _selection(args)
    changes: dict[str, Callable[[], int]] = {
        "retry": lambda: queue.retry(selection),
        "hold": lambda: queue.hold(selection, args.reason),
        "release": lambda: queue.release(selection),
        "drop": lambda: queue.drop(selection),
    }
    number = changes[args.action]()
    if args.json:
        print_json({"action": args.action, "deliveries": number})
        return ExitStatus.OK if number else ANSWER_IS_NO
    print(f"{args.action}: {number} {'delivery' if number == 1 else 'deliveries'}")
    return ExitStatus.OK if number else ANSWER_IS_NO
