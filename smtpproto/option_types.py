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
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import chain
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")

_MOST_SEEN = 100  # calls that are remembered for each class

# What the options of other libraries and programs are called here.
_OTHER_NAMES = {
    "auth": ("login", "authenticator"),
    "auth_required": ("require_auth",),
    "auth_require_tls": ("auth_in_clear",),
    "cafile": ("verify",),
    "cert": ("certificate", "context"),
    "certfile": ("certificate", "context"),
    "certificate": ("context",),
    "client_cert": ("certificate",),
    "credentials": ("login",),
    "data_size_limit": ("limits",),
    "debug": ("trace",),
    "enhanced_code": ("enhanced",),
    "from_": ("sender", "envelope"),
    "from_addr": ("sender", "envelope"),
    "helo_hostname": ("hello",),
    "local_addr": ("source",),
    "local_hostname": ("hello",),
    "mail_from": ("sender", "envelope"),
    "max_message_size": ("limits",),
    "max_size": ("limits",),
    "message": ("lines",),
    "name": ("hostname",),
    "password": ("login",),
    "rcpt_to": ("recipients", "envelope"),
    "rcpt_tos": ("recipients", "envelope"),
    "recipient": ("recipients", "envelope"),
    "recipients": ("envelope",),
    "require_starttls": ("require_tls",),
    "socket": ("sock", "stream"),
    "sender": ("envelope",),
    "size": ("limits",),
    "source_address": ("source",),
    "ssl": ("tls", "context"),
    "ssl_context": ("context",),
    "starttls": ("tls", "context"),
    "start_tls": ("tls", "context"),
    "status": ("code",),
    "text": ("lines",),
    "timeout": ("timeouts",),
    "tls": ("context",),
    "tls_context": ("context",),
    "to": ("recipients", "envelope"),
    "to_addrs": ("recipients", "envelope"),
    "use_tls": ("tls",),
    "user": ("login",),
    "username": ("login",),
    "users": ("authenticator",),
    "validate_certs": ("verify",),
    "verifier": ("authenticator",),
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
    known = kind.__args__ if isinstance(kind, types.UnionType) else (kind,)
    number = isinstance(value, bool) and bool not in known  # True is an int for Python
    if value is not None and (number or not isinstance(value, kind)):
        raise wrong_type(name, value, instead)


def require_type(name: str, value: object, kind: type | types.UnionType, instead: str) -> None:
    """Raise TypeError unless *value* is a *kind*; as :func:`check_type`, but None is refused."""
    check_type(name, value, kind, instead)
    if value is None:
        raise wrong_type(name, value, instead)


def wrong_type(name: str, value: object, instead: str) -> TypeError:
    """Return the error for an argument *name* of the wrong type. *instead* shows what to pass."""
    kind = "None" if value is None else f"of the type {type(value).__name__}"
    return TypeError(f"{name} cannot be {kind}; pass {instead}")


def must_be(kind: type | types.UnionType, instead: str) -> Callable[[Any, Any, Any], None]:
    """Return an attrs validator that applies :func:`require_type`."""

    def validate(_: object, attribute: Any, value: object) -> None:
        require_type(attribute.name, value, kind, instead)

    return validate


def check_names(
    called: str,
    names: Iterable[str],
    known: Collection[str],
    parts: Mapping[str, type] | None = None,
) -> None:
    """Raise TypeError if one of *names* is not among *known*, the arguments of *called*.

    The error suggests a similar name. *parts* are arguments that hold options of their own.
    """
    for name in names:
        if name not in known:
            meant = _meant(name, known, parts or {})
            suggestion = f"; did you mean {meant}?" if meant else f"; it takes {_listed(known)}"
            raise TypeError(f"{called}() got an unexpected argument {name!r}{suggestion}")


def _meant(name: str, known: Collection[str], parts: Mapping[str, type]) -> str:
    """Return what the unknown argument *name* may stand for, or ""."""
    for other in _OTHER_NAMES.get(name, ()):
        if other in known:
            return f"{other}="
    if near := get_close_matches(name.lower(), known, 1, 0.7):
        return f"{near[0]}="
    for part, kind in parts.items():
        if near := get_close_matches(name.lower(), argument_names(kind), 1, 0.85):
            return f"{part}={kind.__name__}({near[0]}=...)"
    return ""


def _listed(known: Collection[str]) -> str:
    return ", ".join(sorted(known)) or "no arguments"


def argument_names(kind: type) -> tuple[str, ...]:
    """Return the names of the arguments that make an instance of *kind*."""
    arguments = inspect.signature(kind).parameters.values()
    return tuple(one.name for one in arguments if one.kind is not inspect.Parameter.VAR_KEYWORD)


def checks_itself(converter: Any) -> None:
    """Mark a converter that checks the type of its argument, with an error of its own."""
    converter.checks_itself = True


def checked(kind: type[T]) -> type[T]:
    """Decorate a class of attrs so that wrong arguments raise TypeError that says what to pass.

    This concerns unknown names, and the types that the hints of fields and converters allow. Fields
    with a converter that :func:`checks_itself`, or with :func:`must_be`, have their own check.
    """
    decorated: Any = kind
    made = decorated.__init__
    names = argument_names(kind)
    seen: set[tuple[object, ...]] = set()  # types and names of arguments that need no further look

    @functools.wraps(made)
    def check_and_make(self: T, *values: object, **named: object) -> None:
        # Commands and replies are made often, so arguments as before take the shortest way.
        key = (*map(type, values), *named, *map(type, named.values()))
        if key in seen:
            made(self, *values, **named)
            return
        if failure := _failure(kind, names, values, named):
            del values, named  # a traceback may show them, and they may be secrets
            raise failure
        made(self, *values, **named)
        if len(seen) < _MOST_SEEN and _are_certain(kind, names, values, named):
            seen.add(key)

    decorated.__init__ = check_and_make
    return kind


def _are_certain(
    kind: Any, names: tuple[str, ...], values: tuple[object, ...], named: dict[str, object]
) -> bool:
    """Return whether all arguments of these types are right."""
    allowed = _allowed(kind)
    return all(
        name not in allowed or type(value) in allowed[name].certain
        for name, value in chain(zip(names, values, strict=False), named.items())
    )


def _failure(
    kind: Any, names: tuple[str, ...], values: tuple[object, ...], named: dict[str, object]
) -> TypeError | None:
    """Return the error for the arguments of *kind*, without frames, or None if there is none."""
    try:
        if not named.keys() <= set(names):
            called = getattr(kind, "_called", kind.__name__)  # what users call to make it
            check_names(called, named, names, parts_of(kind))
        allowed = _allowed(kind)
        for name, value in chain(zip(names, values, strict=False), named.items()):
            if name in allowed:
                allowed[name].check(name, value)
    except TypeError as error:
        return error.with_traceback(None)
    return None


class _Allowed:
    """The types that an argument may have, and those of its elements if it is an iterable."""

    def __init__(self, hint: Any) -> None:
        classes, self._elements = _classes(hint), _element_classes(hint)
        self._classes = frozenset(classes)
        self._in_words = _in_words(classes, self._elements)
        # Instances of exactly these need no further look.
        self.certain = frozenset(
            one for one in classes if one is str or not issubclass(one, Iterable)
        )

    def check(self, name: str, value: object) -> None:
        """Raise TypeError unless *value* has one of the types."""
        if not self._fits(value):
            raise wrong_type(name, value, self._in_words)
        if self._elements and isinstance(value, list | tuple | set | frozenset):
            for element in value:
                if not isinstance(element, self._elements):
                    raise wrong_type(f"an element of {name}", element, self._in_words)

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool):  # an int for Python, but it means something else
            return not self._classes.isdisjoint((bool, object))
        if isinstance(value, str | bytes | bytearray) and self._elements:  # iterables of others
            return type(value) in self._classes or (type(value) is str and str in self._elements)
        numbers = (int,) if float in self._classes else ()
        return isinstance(value, (*self._classes, *numbers))


@functools.cache
def _allowed(kind: Any) -> dict[str, _Allowed]:
    """Return what is allowed for each argument of *kind* that is checked."""
    hints = _argument_hints(kind)
    fields = {it.alias or it.name: it for it in attrs.fields(kind) if it.init}
    return {
        name: _Allowed(hints[name])
        for name, field in fields.items()
        if name in hints and not _has_own_check(field) and _classes(hints[name])
    }


def _argument_hints(kind: Any) -> dict[str, Any]:
    """Return the type hints of the arguments of *kind*: where a field is converted, those of its
    converter. They are resolved where they were written."""
    found = {}
    for field in attrs.fields(kind):
        name = field.alias or field.name
        written = vars(kind)["__init__"].__annotations__.get(name, Any)
        owner = next(
            one for one in kind.__mro__ if field.name in vars(one).get("__annotations__", ())
        )
        names = {
            **vars(sys.modules[owner.__module__]),
            **getattr(field.converter, "__globals__", {}),
        }
        try:
            holder = types.SimpleNamespace(__annotations__={name: written})
            found[name] = typing.get_type_hints(holder, names)[name]
        except NameError:  # a name that is imported for type checkers only
            continue
    return found


@functools.cache
def parts_of(kind: Any) -> dict[str, type]:
    """Return the arguments of *kind* that hold options of their own, with their classes."""
    hints = _argument_hints(kind)
    return {name: one for name, hint in hints.items() for one in _classes(hint) if attrs.has(one)}


def _has_own_check(field: attrs.Attribute[Any]) -> bool:
    made_here = getattr(field.validator, "__module__", None) == __name__
    return made_here or getattr(field.converter, "checks_itself", False)


def _classes(hint: Any) -> tuple[type, ...]:
    """Return the classes of a type hint; empty if instances of it cannot be told."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [_classes(part) for part in typing.get_args(hint)]
        return tuple(one for part in parts for one in part) if all(parts) else ()
    if origin is typing.Literal:
        return tuple({type(value) for value in typing.get_args(hint)})
    found = origin or hint
    if not isinstance(found, type) or _is_only_for_checkers(found):
        return ()
    return (found,)


def _is_only_for_checkers(kind: type) -> bool:
    """Return whether *kind* is a protocol that ``isinstance`` cannot test."""
    protocol = getattr(kind, "_is_protocol", False)
    return protocol and not getattr(kind, "_is_runtime_protocol", False)


def _element_classes(hint: Any) -> tuple[type, ...]:
    """Return the classes of the elements, if instances of *hint* are iterables of one type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(one for part in arguments for one in _element_classes(part))
    if origin is tuple and arguments[1:] != (...,):
        return ()
    iterable = isinstance(origin, type) and issubclass(origin, Iterable)
    if not iterable or issubclass(origin, Mapping):
        return ()
    return _classes(arguments[0])


def _in_words(classes: tuple[type, ...], elements: tuple[type, ...]) -> str:
    """Return what to pass, for example ``a str, an iterable of str or None``."""
    inner = " or ".join(
        _members(one) if issubclass(one, enum.Enum) else one.__name__ for one in elements
    )
    words = [
        f"an iterable of {inner}" if elements and issubclass(one, Iterable) and one is not str
        else _members(one) if issubclass(one, enum.Enum)
        else _WORDS.get(one) or one.__name__
        for one in classes
    ]  # fmt: skip
    return " or ".join(dict.fromkeys(words))


def _members(kind: type[enum.Enum]) -> str:
    """Return the values of an enumeration as a program writes them, joined with ``or``."""
    return " or ".join(map(str, kind))


def maker(kind: type[T], *names: str) -> Callable[..., T]:
    """Return a function that makes an instance of *kind*, a class of attrs with slots, from valid
    values.

    The function takes the values of *names*, which are fields or cached properties, in this order.
    It sets each slot without ``__init__``: no converter and no validator runs. Every other field
    has its default. Raises TypeError if a name has no slot in *kind*, or if a field that is not
    named has no default of its own.
    """
    fields: dict[str, Any] = attrs.fields_dict(cast("Any", kind))
    known: dict[str, Any] = {"new": object.__new__, "kind": kind}
    lines = [f"def make({', '.join(names)}):", "self = new(kind)"]
    for name in fields | dict.fromkeys(names):
        slot, value = getattr(kind, name, None), name
        if not isinstance(slot, types.MemberDescriptorType):
            raise TypeError(f"{kind.__name__}: {name} has no slot")
        if name not in names:
            value, default = f"default_{name}", fields[name].default
            if default is attrs.NOTHING or getattr(default, "takes_self", False):
                raise TypeError(f"{kind.__name__}: {name} must be named")
            known[value] = getattr(default, "factory", default)
            value += "()" if known[value] is not default else ""
        known[f"set_{name}"] = slot.__set__
        lines.append(f"set_{name}(self, {value})")
    exec("\n    ".join([*lines, "return self"]), known)
    return cast("Callable[..., T]", known["make"])
