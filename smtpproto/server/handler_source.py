"""Handlers for connections: made from what ``serve`` was given, and checked once for each class."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable
from difflib import get_close_matches
from weakref import WeakSet

from ..grammar.reply import Reply
from ..option_types import wrong_type
from ..ports import call_contained
from .handler import Handler, HandlerSource, Hook, Session

_log = logging.getLogger("smtpproto.server")

_HOOKS = [name for name in vars(Handler) if not name.startswith("_")]
# Names that hooks have elsewhere, or had.
_OTHER_NAMES = {
    "hello": "ehlo",
    "helo": "ehlo",
    "verify": "vrfy",
    "expand": "expn",
    "rset": "reset",
}
_INSTEAD = "an instance of a Handler, such a class, or a function that returns an instance"
_checked: WeakSet[type[Handler]] = WeakSet()  # classes that functions have made


def check_source(source: HandlerSource) -> type[Handler]:
    """Return the class of the handlers that *source* makes, Handler if it is a function.

    Warns of a class that looks wrong, as :func:`check_class` does. Raises TypeError if *source* can
    make no handler, or if a hook of its class cannot be called.
    """
    if not isinstance(source, Handler) and callable(source):
        _check_needs_nothing(source)
    kind = source if isinstance(source, type) else type(source)
    if issubclass(kind, Handler):
        check_class(kind)
        return kind
    if isinstance(source, type):
        raise TypeError(f"handler cannot be the class {kind.__name__}; derive it from Handler")
    if not callable(source) or inspect.iscoroutinefunction(source):
        raise wrong_type("handler", source, _INSTEAD)
    return Handler


def _check_needs_nothing(source: Callable[..., object]) -> None:
    """Raise TypeError if *source*, a class or function, cannot be called without arguments."""
    try:
        inspect.signature(source).bind()
    except ValueError:  # a callable whose signature is unknown
        return
    except TypeError as error:
        name = getattr(source, "__name__", type(source).__name__)
        text = f"handler: {name}() is called for each connection, but {error}"
        raise TypeError(f"{text}; pass an instance, or lambda: {name}(...)") from None


def check_class(kind: type[Handler]) -> None:
    """Check a class of handlers.

    Warns of each method that looks like a hook but is never called, and of a class that accepts no
    mail. Raises TypeError if a hook cannot be called with its arguments.
    """
    check_methods(kind, Handler)
    for name in dir(kind):
        if not name.startswith("_") and name not in _HOOKS and callable(getattr(kind, name)):
            _warn_if_misnamed(kind, name)
    if kind.message is Handler.message and kind.data is Handler.data:
        text = f"{kind.__name__} defines neither message nor data, so the server refuses all mail"
        _log.warning("%s", text)
        if kind is not Handler and all(getattr(kind, it) is getattr(Handler, it) for it in _HOOKS):
            warnings.warn(text, RuntimeWarning, stacklevel=2)


def check_methods(kind: type, base: type) -> None:
    """Raise TypeError if a method of *kind* does not take what the server passes to that of
    *base*."""
    for name, method in vars(base).items():
        if not name.startswith("_") and callable(method):
            _check_method(kind, name, [*inspect.signature(method).parameters][1:])


def _check_method(kind: type, name: str, expected: list[str]) -> None:
    hook = inspect.getattr_static(kind, name)
    is_bound = hasattr(type(hook), "__get__")  # not a class, for example, which may be a sink's
    passed = ["self", *expected] if is_bound and not isinstance(hook, staticmethod) else expected
    hook = hook.__func__ if isinstance(hook, staticmethod | classmethod) else hook
    if not callable(hook):
        if is_bound:  # a property, for example: only an instance has the hook
            return
        raise TypeError(f"{kind.__name__}.{name} must be a method, because the server calls it")
    try:
        inspect.signature(hook).bind(*passed)
    except TypeError:
        text = f"{kind.__name__}.{name} must take the arguments ({', '.join(['self', *expected])})"
        raise TypeError(text) from None
    except ValueError:  # a callable whose signature is unknown
        return


def _warn_if_misnamed(kind: type[Handler], name: str) -> None:
    candidate = name.lower().removeprefix("handle_").removeprefix("on_").removeprefix("smtp_")
    if near := get_close_matches(candidate, [*_HOOKS, *_OTHER_NAMES], 1, 0.75):
        meant = _OTHER_NAMES.get(near[0], near[0])
        text = f"{kind.__name__}.{name} is not a hook; did you mean {meant}?"
        _log.warning("%s", text)
        code = getattr(getattr(kind, name), "__code__", None)
        if code is not None and code.co_argcount > 1:  # it could be called as a hook
            warnings.warn_explicit(text, RuntimeWarning, code.co_filename, code.co_firstlineno)


class _Unavailable(Handler):
    """The handler of a connection whose own handler could not be made."""

    def connect(self, session: Session) -> Hook:
        return Reply(421, "4.3.0", "Local error; closing transmission channel")


def handler_of(source: HandlerSource) -> Handler:
    """Return the handler for a new connection; if *source* fails to make one, a handler that
    answers 421."""
    if isinstance(source, Handler):
        return source
    try:
        handler = call_contained(source)
        if not isinstance(handler, Handler):
            raise wrong_type("what the function of serve returns", handler, "a Handler")
        if not isinstance(source, type) and type(handler) not in _checked:
            check_class(type(handler))
            _checked.add(type(handler))
        return handler
    except Exception:
        _log.exception("the handler could not be made")
    return _Unavailable()
