"""A filter that speaks Sendmail's milter protocol, such as rspamd, OpenDKIM or ClamAV's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from functools import reduce
from itertools import chain
from operator import or_

from attrs import frozen

from ..errors import ConnectionLost, GrammarError, RemoteProtocolError, TransportError
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail.header import split_fields
from ..option_types import checked
from ..ports import Runtime, Stream
from .header_edit import AddField, ChangeField, FieldEdit
from .message_filter import Filter, FilterMessage, FilterVerdict, remaining, split_address
from .milter_wire import (
    COMMANDS,
    MAX_CHUNK,
    RESPONSES,
    VERSION,
    Action,
    Packet,
    PacketReader,
    Step,
    Value,
    peer_octets,
)

__all__ = ["Milter"]

_PORT = 8891
_MAX_CHANGES = 1000
_GATHERED = 64 * 1024  # octets that are written together

_ACTIONS = (
    Action.ADD_FIELDS
    | Action.CHANGE_FIELDS
    | Action.ADD_RECIPIENTS
    | Action.ADD_RECIPIENTS_WITH_PARAMETERS
    | Action.DELETE_RECIPIENTS
    | Action.CHANGE_SENDER
    | Action.QUARANTINE
)
_STEPS: Mapping[str, tuple[Step, Step]] = {  # not wanted, not answered
    "connect": (Step.NO_CONNECT, Step.CONNECT_UNANSWERED),
    "helo": (Step.NO_HELO, Step.HELO_UNANSWERED),
    "mail": (Step.NO_MAIL, Step.MAIL_UNANSWERED),
    "rcpt": (Step.NO_RCPT, Step.RCPT_UNANSWERED),
    "data": (Step.NO_DATA, Step.DATA_UNANSWERED),
    "header": (Step.NO_HEADER, Step.HEADER_UNANSWERED),
    "eoh": (Step.NO_EOH, Step.EOH_UNANSWERED),
    "body": (Step.NO_BODY, Step.BODY_UNANSWERED),
}
_OFFERED = reduce(or_, chain(*_STEPS.values()), Step.SKIP | Step.LEADING_SPACE)

_DECISIONS = {
    "accept": FilterVerdict(),
    "discard": FilterVerdict(discard=True),
    "reject": FilterVerdict(refusal=Reply(550, "5.7.1", "Message refused by a filter")),
    "tempfail": FilterVerdict(refusal=Reply(451, "4.7.1", "Try again later")),
    "connfail": FilterVerdict(refusal=Reply(421, "4.7.0", "Try again later")),
    "shutdown": FilterVerdict(refusal=Reply(421, "4.7.0", "Try again later")),
}
_NEEDED = {
    "addheader": Action.ADD_FIELDS,
    "insheader": Action.ADD_FIELDS,
    "chgheader": Action.CHANGE_FIELDS,
    "addrcpt": Action.ADD_RECIPIENTS,
    "addrcpt_par": Action.ADD_RECIPIENTS_WITH_PARAMETERS,
    "delrcpt": Action.DELETE_RECIPIENTS,
    "chgfrom": Action.CHANGE_SENDER,
    "quarantine": Action.QUARANTINE,
}


@checked
@frozen
class Milter(Filter):
    """A milter at *address*: ``Milter("unix:/run/opendkim/opendkim.sock")``.

    The address is ``unix:/path``, ``inet:host:port`` or ``inet:port@host``. The milter is asked
    when the message has arrived, over a connection of its own; if it refuses one recipient, the
    whole message is refused. It may change the header section and the envelope, but not the body.
    Raises ValueError for what is not an address.
    """

    address: str

    def __attrs_post_init__(self) -> None:
        split_address(self.address, _PORT)

    @property
    def name(self) -> str:
        """What logs call the filter."""
        return f"milter {self.address}"

    async def check(self, message: FilterMessage, runtime: Runtime) -> FilterVerdict:
        """Ask the milter. Raises TransportError and RemoteProtocolError."""
        end = runtime.now() + self.timeout
        stream = await runtime.dial(*split_address(self.address, _PORT), self.timeout)
        try:
            return await _Conversation(stream, message, lambda: remaining(runtime, end)).run()
        except GrammarError as error:
            raise _broken(f"it asks for what cannot be: {error.message}") from None
        finally:
            await stream.close()


class _Conversation:
    """One message, told to a milter."""

    def __init__(
        self, stream: Stream, message: FilterMessage, remaining: Callable[[], float]
    ) -> None:
        self._stream, self._message, self._remaining = stream, message, remaining
        self._reader = PacketReader(RESPONSES)
        self._out = bytearray()
        self._actions, self._steps = Action(0), Step(0)
        self._skipped: set[str] = set()

    async def run(self) -> FilterVerdict:
        """Return what the milter decides."""
        await self._negotiate()
        async with aclosing(self._packets()) as packets:
            async for packet, macros in packets:
                if (verdict := await self._step(packet, macros)) is not None:
                    break
            else:
                verdict = await self._end()
        self._put(Packet("quit"))
        with suppress(TransportError):  # the verdict holds, although the milter has gone
            await self._flush()
        return verdict

    async def _negotiate(self) -> None:
        self._put(Packet("optneg", (VERSION, int(_ACTIONS), int(_OFFERED), b"")))
        answer = await self._answer()
        if answer.name != "optneg":
            raise _broken(f"{answer.name} is no answer to the offer of options")
        version, actions, steps, _ = answer.values
        assert isinstance(version, int) and isinstance(actions, int) and isinstance(steps, int)
        if not 2 <= version <= VERSION:
            raise _broken(f"it speaks version {version}, and this server 2 to {VERSION}")
        # rspamd announces all that it might do, whatever is offered.
        self._actions, self._steps = Action(actions & _ACTIONS), Step(steps & _OFFERED)

    # -- what is told ------------------------------------------------------------------------

    async def _packets(self) -> AsyncGenerator[tuple[Packet, dict[str, str]], None]:
        """Yield what the milter is told before the end of the message, with the macros for it."""
        message, session = self._message, self._message.session
        envelope, queue_id = message.envelope, {"i": message.id}
        peer, port = session.peer
        where = f"[{peer}]" if peer else "unknown"
        values = (where.encode(), peer_octets(peer, port))
        macros = {"j": message.hostname, "_": where, "{client_addr}": peer}
        yield Packet("connect", values), macros | {"{daemon_name}": message.hostname}
        yield Packet("helo", (str(session.hello or "").encode(),)), self._tls_macros()
        sender = str(envelope.sender)
        arguments = _arguments(sender, str(envelope.parameters))
        macros = queue_id | {"{mail_addr}": sender} | self._login_macros()
        yield Packet("mail", (arguments,)), macros
        for path in envelope.recipients:
            arguments = _arguments(str(path), str(envelope.parameters_of(path)))
            yield Packet("rcpt", (arguments,)), queue_id | {"{rcpt_addr}": str(path)}
        yield Packet("data"), queue_id
        for name, line in split_fields(message.header):
            if name:
                yield Packet("header", (name.encode(), self._told_value(line))), {}
        yield Packet("eoh"), queue_id
        if self._wants("body"):
            async with aclosing(message.body()) as body:
                async for data in body:
                    for start in range(0, len(data), MAX_CHUNK):
                        yield Packet("body", (data[start : start + MAX_CHUNK],)), {}
                    if not self._wants("body"):
                        break

    def _told_value(self, line: bytes) -> bytes:
        """Return the value of a field as milters take it: with LF at the end of its lines."""
        value = line.partition(b":")[2].replace(b"\r\n", b"\n")
        return value if self._steps & Step.LEADING_SPACE else value.removeprefix(b" ")

    def _tls_macros(self) -> dict[str, str]:
        tls = self._message.session.tls
        return {} if tls is None else {"{tls_version}": tls.version, "{cipher}": tls.cipher}

    def _login_macros(self) -> dict[str, str]:
        session = self._message.session
        if session.user is None:
            return {}
        mechanism = "" if session.identity is None else session.identity.mechanism
        return {"{auth_authen}": session.user, "{auth_type}": mechanism}

    def _wants(self, name: str) -> bool:
        return not self._steps & _STEPS[name][0] and name not in self._skipped

    async def _step(self, packet: Packet, macros: dict[str, str]) -> FilterVerdict | None:
        """Tell the milter *packet*; return what it decides, or None if it goes on."""
        if not self._wants(packet.name):
            return None
        self._put_macros(packet.name, macros)
        self._put(packet)
        if self._steps & _STEPS[packet.name][1]:
            if len(self._out) > _GATHERED:
                await self._flush()
            return None
        answer = await self._answer()
        if answer.name == "skip":
            self._skipped.add(packet.name)
        return None if answer.name in ("continue", "skip") else _decision(answer)

    def _put_macros(self, name: str, macros: dict[str, str]) -> None:
        given = tuple(it.encode() for pair in macros.items() if pair[1] for it in pair)
        if given:
            self._put(Packet("macro", (COMMANDS[name][0], given)))

    # -- the end of the message --------------------------------------------------------------

    async def _end(self) -> FilterVerdict:
        """Tell the milter that the message has ended; return what it decides and changes."""
        self._put_macros("eob", {"i": self._message.id})
        self._put(Packet("eob", (b"",)))
        changes = _Changes()
        for _ in range(_MAX_CHANGES):
            answer = await self._answer()
            needed = _NEEDED.get(answer.name)
            if answer.name in ("accept", "continue"):
                return changes.verdict()
            if needed is None:
                return _decision(answer)
            if not self._actions & needed:
                raise _broken(f"it has not said that it sends {answer.name}")
            changes.take(answer.name, answer.values)
        raise _broken(f"more than {_MAX_CHANGES} changes of one message")

    async def _answer(self) -> Packet:
        """Return the next packet of the milter but "progress", which only asks for patience."""
        await self._flush()
        while True:
            while (packet := self._reader.next()) is None:
                data = await self._stream.read(self._remaining())
                if not data:
                    raise ConnectionLost(
                        "the milter closed the connection",
                        phase="filter",
                        check="its log; perhaps it wants to change bodies, which is not offered",
                    )
                self._reader.feed(data)
            if packet.name != "progress":
                return packet
            self._remaining()

    def _put(self, packet: Packet) -> None:
        self._out += packet.write(COMMANDS)

    async def _flush(self) -> None:
        if self._out:
            data = bytes(self._out)
            self._out.clear()
            await self._stream.write(data, self._remaining())


class _Changes:
    """What a milter changes at the end of a message."""

    def __init__(self) -> None:
        self._edits: list[FieldEdit] = []
        self._added: list[ForwardPath] = []
        self._removed: list[ForwardPath] = []
        self._sender: ReversePath | None = None
        self._hold: str | None = None

    def take(self, name: str, values: tuple[Value, ...]) -> None:
        """Note one change. Raises GrammarError."""
        match name, values:
            case "addheader", (bytes(field), bytes(value)):
                self._edits.append(AddField(field.decode("latin-1"), _value(value), None))
            case "insheader", (int(at), bytes(field), bytes(value)):
                self._edits.append(AddField(field.decode("latin-1"), _value(value), at))
            case "chgheader", (int(number), bytes(field), bytes(value)):
                changed = _value(value) if value else None
                self._edits.append(ChangeField(field.decode("latin-1"), changed, number or 1))
            case "addrcpt", (bytes(path),):
                self._added.append(ForwardPath.of(_address(path)))
            case "addrcpt_par", ((path, *_),):
                self._added.append(ForwardPath.of(_address(path)))
            case "delrcpt", (bytes(path),):
                self._removed.append(ForwardPath.of(_address(path)))
            case "chgfrom", ((path, *_),):
                self._sender = ReversePath.of(_address(path))
            case "quarantine", (bytes(reason),):
                self._hold = printable(_text(reason)[:200]) or "held by a filter"
            case _:
                raise GrammarError(f"{name} without an address")

    def verdict(self) -> FilterVerdict:
        """Return the verdict that accepts the message with the changes."""
        return FilterVerdict(
            hold=self._hold,
            edits=self._edits,
            sender=self._sender,
            added=self._added,
            removed=self._removed,
        )


def _decision(answer: Packet) -> FilterVerdict:
    """Return the verdict that *answer* stands for. Raises RemoteProtocolError."""
    if answer.name == "replycode":
        [text] = answer.values
        assert isinstance(text, bytes)
        reply = Reply.from_lines(text.replace(b"%%", b"%").rstrip(b"\r\n").split(b"\r\n"))
        if reply.code < 400:
            raise _broken(f"{reply.code} is no refusal")
        return FilterVerdict(refusal=reply)
    if answer.name not in _DECISIONS:
        raise _broken(f"{answer.name} is not allowed here")
    return _DECISIONS[answer.name]


def _arguments(path: str, parameters: str) -> tuple[bytes, ...]:
    return tuple(it.encode() for it in (f"<{path}>", *parameters.split()))


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _address(octets: bytes) -> str:
    return _text(octets).strip().removeprefix("<").removesuffix(">")


def _value(value: bytes) -> bytes:
    """Return the value of a field, whose lines may end with LF, with CRLF."""
    return value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _broken(text: str) -> RemoteProtocolError:
    check = "that a milter listens there, and its configuration"
    return RemoteProtocolError(
        f"the milter breaks the protocol: {text}", phase="filter", check=check
    )
