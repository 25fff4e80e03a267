"""Ring 0: checks of the names and types of options, whose errors say what to pass instead.

The errors do not show the value: it may be a password passed as the wrong argument. :func:`maker`
is for values that a parser has checked already.
"""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")

# What other libraries and programs call the options that are named here.
_OTHER_NAMES = {
    "login": "auth credentials password user username",
    "authenticator": "auth users verifier",
    "require_auth": "auth_required",
    "auth_in_clear": "auth_require_tls",
    "verify": "cafile validate_certs",
    "certificate": "cert certfile client_cert",
    "limits": "data_size_limit max_message_size max_size size",
    "trace": "debug",
    "enhanced": "enhanced_code",
    "sender": "from_ from_addr mail_from",
    "recipients": "rcpt_to rcpt_tos recipient to to_addrs",
    "envelope": (
        "from_ from_addr mail_from sender rcpt_to rcpt_tos recipient recipients to to_addrs"
    ),
    "hello": "helo_hostname local_hostname",
    "source": "local_addr source_address",
    "lines": "message text",
    "hostname": "name",
    "require_tls": "require_starttls",
    "sock": "socket",
    "stream": "socket",
    "tls": "ssl starttls start_tls use_tls",
    "context": "cert certfile certificate ssl ssl_context starttls start_tls tls tls_context",
    "code": "status",
    "timeouts": "timeout",
}
_WORDS: dict[Any, str] = {
    Callable: "a function",
    Mapping: "a mapping",
    bool: "True or False",
    bytes: "bytes",
    float: "a number",
    int: "an int",
    str: "a str",
    types.NoneType: "None",
}


def check_type(name: str, value: object, kind: type | types.UnionType, instead: str) -> None:
    """Raise TypeError unless *value* is None or a *kind*. *instead* shows what to pass."""
    if value is None or type(value) is kind:
        return
    known = kind.__args__ if isinstance(kind, types.UnionType) else (kind,)
    number = isinstance(value, bool) and bool not in known  # True is an int for Python
    if number or not isinstance(value, kind):
        raise wrong_type(name, value, instead)


def require_type(name: str, value: object, kind: type | types.UnionType, instead: str) -> None:
    """Raise TypeError unless *value* is a *kind*; as :func:`check_type`, but None is refused."""
    check_type(name, value, kind, instead)
    if value is None:
        raise wrong_type(name, value, instead)


def require_method(name: str, value: object, method: str, instead: str) -> None:
    """Raise TypeError unless *value* is an object with this *method*, as a port has it."""
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        raise wrong_type(name, value, instead)


def require_resolver(resolver: object) -> None:
    """Raise TypeError unless *resolver* looks like a :class:`.Resolver`."""
    require_method("resolver", resolver, "lookup", "a resolver, such as DNSResolver()")


def wrong_type(name: str, value: object, instead: str) -> TypeError:
    """Return the error for an argument *name* of the wrong type. *instead* shows what to pass."""
    kind = "None" if value is None else f"of the type {type(value).__name__}"
    return TypeError(f"{name} cannot be {kind}; pass {instead}")


def check_names(
    called: str,
    names: Iterable[str],
    known: Collection[str],
    kind: type | None = None,
) -> None:
    """Raise TypeError if one of *names* is not among *known*, the arguments of *called*.

    The error suggests a similar name, also one of the options that an argument of *kind* holds.
    """
    for name in names:
        if name not in known:
            meant = next(_meant(name, known, parts_of(kind) if kind else {}), None)
            listed = ", ".join(sorted(known)) or "no arguments"
            suggestion = f"did you mean {meant}?" if meant else f"it takes {listed}"
            raise TypeError(f"{called}() got an unexpected argument {name!r}; {suggestion}")


def near_name(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"`` with the *known* name that is most like the unknown *name*,
    in any case; ``""`` if none is like it."""
    from difflib import get_close_matches  # noqa: PLC0415  # only errors need it

    names = {it.lower(): it for it in known}
    near = get_close_matches(name.lower(), names, 1)
    return f"; did you mean {names[near[0]]}?" if near else ""


def _meant(name: str, known: Collection[str], parts: Mapping[str, type]) -> Iterator[str]:
    """Yield what the unknown argument *name* may stand for."""
    from difflib import get_close_matches  # noqa: PLC0415  # only errors need it

    for ours, others in _OTHER_NAMES.items():
        if ours in known and name in others.split():
            yield f"{ours}="
    for near in get_close_matches(name.lower(), known, 1, 0.66):
        yield f"{near}="
    for part, kind in parts.items():
        for near in get_close_matches(name.lower(), argument_names(kind), 1, 0.85):
            yield f"{part}={kind.__name__}({near}=...)"


@functools.cache
def argument_names(kind: type) -> tuple[str, ...]:
    """Return the names of the arguments that make an instance of *kind*."""
    arguments = inspect.signature(kind).parameters.values()
    return tuple(it.name for it in arguments if it.kind is not it.VAR_KEYWORD)


def checks_itself(converter: Any) -> None:
    """Mark a converter that checks the type of its argument, with an error of its own."""
    converter.checks_itself = True


def checked(kind: type[T]) -> type[T]:
    """Decorate a class of attrs so that wrong arguments raise TypeError that says what to pass.

    This concerns unknown names, and the types that the hints of fields and converters allow. The
    metadata *instead* of a field says what to pass; by default its types do. Fields with a
    converter that :func:`checks_itself` have their own check.
    """
    decorated: Any = kind
    made = decorated.__init__

    @functools.wraps(made)
    def check_and_make(self: T, *values: object, **named: object) -> None:
        if (values or named) and (failure := _failure(type(self), values, named)):
            del values, named  # a traceback may show them, and they may be secrets
            raise failure
        made(self, *values, **named)

    decorated.__init__ = check_and_make
    return kind


def _failure(
    kind: Any, values: tuple[object, ...], named: Mapping[str, object]
) -> TypeError | None:
    """Return the error for the arguments of *kind*, without frames, or None if there is none."""
    known = _known(kind)
    try:
        if not named.keys() <= known.fields.keys():
            called = getattr(kind, "_called", kind.__name__)  # what users call to make it
            check_names(called, named, known.fields, kind)
        for name, value in (*zip(known.fields, values, strict=False), *named.items()):
            if (allowed := known[name]) is not None and type(value) not in allowed.certain:
                allowed.check(name, value)
    except TypeError as error:
        return error.with_traceback(None)
    return None


class _Allowed:
    """The types that an argument may have, and those of its elements if it is an iterable."""

    def __init__(
        self, classes: tuple[type, ...], elements: tuple[type, ...], instead: str | None
    ) -> None:
        self._classes = frozenset(classes) | ({int} if float in classes else set())
        self._elements = (*elements, int) if float in elements else elements
        self._instead = instead or _in_words(classes, elements)
        self.certain = self._classes & {str, types.NoneType} if elements else self._classes
        """Instances of exactly these need no further look."""

    def check(self, name: str, value: object) -> None:
        """Raise TypeError unless *value* has one of the types."""
        if not self._fits(value):
            raise wrong_type(name, value, self._instead)
        if self._elements and isinstance(value, list | tuple | set | frozenset):
            for element in value:
                if not isinstance(element, self._elements):
                    raise wrong_type(f"an element of {name}", element, self._instead)

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool):  # an int for Python, but it means something else
            return not self._classes.isdisjoint((bool, object))
        if isinstance(value, str | bytes | bytearray) and self._elements:  # iterables of others
            return type(value) in self._classes or (type(value) is str and str in self._elements)
        return isinstance(value, tuple(self._classes))


class _Known(dict[str, _Allowed | None]):
    """What is allowed for each argument of *kind*, found out when the argument is passed. None:
    anything, or the class checks it itself."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        by_position = sorted(attrs.fields(kind), key=lambda field: field.kw_only)
        self.fields = {field.alias: field for field in by_position if field.init}
        """The arguments, those that may be passed by position first."""

    def __missing__(self, name: str) -> _Allowed | None:
        field = self.fields[name]
        own_check = getattr(field.converter, "checks_itself", False)
        hint = None if own_check else _hint(self._kind, field)
        classes, instead = _classes(hint), field.metadata.get("instead")
        self[name] = _Allowed(classes, _elements(hint), instead) if classes else None
        return self[name]


_known = functools.cache(_Known)


def _hint(kind: Any, field: attrs.Attribute[Any]) -> Any:
    """Return the type hint of an argument of *kind*: where the field is converted, that of its
    converter. It is resolved where it was written. None: it names a type for type checkers only."""
    written = kind.__init__.__annotations__.get(field.alias)
    owner = next(it for it in kind.__mro__ if field.name in vars(it).get("__annotations__", ()))
    names = {**vars(sys.modules[owner.__module__]), **getattr(field.converter, "__globals__", {})}
    try:
        holder = types.SimpleNamespace(__annotations__={"argument": written})
        return typing.get_type_hints(holder, names)["argument"]
    except NameError:
        return None


@functools.cache
def parts_of(kind: Any) -> dict[str, type]:
    """Return the arguments of *kind* that hold options of their own, with their classes."""
    hints = {name: _hint(kind, field) for name, field in _known(kind).fields.items()}
    return {name: it for name, hint in hints.items() for it in _classes(hint) if attrs.has(it)}


def _classes(hint: Any) -> tuple[type, ...]:
    """Return the classes of a type hint; empty if instances of it cannot be told."""
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, types.UnionType):
        parts = [_classes(part) for part in typing.get_args(hint)]
        return tuple(it for part in parts for it in part) if all(parts) else ()
    if origin is typing.Literal:
        return tuple({type(value) for value in typing.get_args(hint)})
    protocol = getattr(origin, "_is_protocol", False)
    if protocol and not getattr(origin, "_is_runtime_protocol", False):
        return ()  # isinstance cannot test it
    return (origin,) if isinstance(origin, type) else ()


def _elements(hint: Any) -> tuple[type, ...]:
    """Return the classes of the elements, if instances of *hint* are iterables of one type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(it for part in arguments for it in _elements(part))
    if not isinstance(origin, type) or not issubclass(origin, Iterable):
        return ()
    fixed = origin is tuple and arguments[1:] != (...,)
    return () if fixed or issubclass(origin, Mapping) else _classes(arguments[0])


def _in_words(classes: tuple[type, ...], elements: tuple[type, ...]) -> str:
    """Return what to pass, for example ``a str, an iterable of str or None``."""

    def word(it: type, known: Mapping[Any, str]) -> str:
        if issubclass(it, enum.Enum):
            return " or ".join(map(str, it))
        return known.get(it) or it.__name__

    inner = " or ".join(word(it, {}) for it in elements)
    iterable = [bool(elements) and issubclass(it, Iterable) and it is not str for it in classes]
    words = [
        f"an iterable of {inner}" if is_iterable else word(it, _WORDS)
        for it, is_iterable in zip(classes, iterable, strict=True)
    ]
    return " or ".join(dict.fromkeys(words))


def maker(kind: type[T], *names: str, **parts: Any) -> Callable[..., T]:
    """Return a function that makes an instance of *kind*, a class of attrs with slots, from valid
    values.

    The function takes the values of *names*, which are fields or cached properties, in this order.
    It sets each slot without ``__init__``: no converter and no validator runs. *parts* are fields
    with the maker of their value: the function makes this value, too, and first takes what that
    maker takes; a name that both have stands for one value. Every other field has its default.
    Raises TypeError if a name has no slot in *kind*, or if a field that is not named has no default
    of its own.
    """
    fields: dict[str, Any] = attrs.fields_dict(cast("Any", kind))
    this, takes, steps = kind.__name__, list[str](), list[str]()
    known: dict[str, Any] = {"new": object.__new__, this: kind}
    for part in parts.values():  # its steps become steps of this function
        takes += part.__globals__["takes"]
        steps += part.__globals__["steps"]
        known = part.__globals__ | known
    takes = [*dict.fromkeys((*takes, *names))]
    steps.append(f"made_{this} = new({this})")
    for name in fields | dict.fromkeys((*names, *parts)):
        slot, value = getattr(kind, name, None), name
        if not isinstance(slot, types.MemberDescriptorType):
            raise TypeError(f"{this}: {name} has no slot")
        if name in parts:
            value = parts[name].__globals__["made"]
        elif name not in names:
            value, default = f"{this}_{name}", fields[name].default
            if default is attrs.NOTHING or getattr(default, "takes_self", False):
                raise TypeError(f"{this}: {name} must be named")
            known[value] = getattr(default, "factory", default)
            value += "()" if known[value] is not default else ""
        known[f"set_{this}_{name}"] = slot.__set__
        steps.append(f"set_{this}_{name}(made_{this}, {value})")
    known |= {"takes": takes, "steps": steps, "made": f"made_{this}"}
    exec("\n    ".join([f"def make({', '.join(takes)}):", *steps, f"return made_{this}"]), known)
    return cast("Callable[..., T]", known["make"])
