"""Secret values, for example passwords: they are never printed, and stay out of tracebacks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, final

from ..option_types import wrong_type
from .reply import GrammarError

P = ParamSpec("P")
T = TypeVar("T")


def without_frames(error: Exception) -> Exception:
    """Remove from *error* its traceback and the errors that led to it: programs show tracebacks
    with the locals of each frame, and there may be a secret in these. Return *error*."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def keeps_secret(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function whose arguments or locals may hold a secret.

    An error then leaves it without its frames, and without its arguments, so that no traceback that
    shows locals has the secret.
    """

    @functools.wraps(function)
    def call(*values: P.args, **named: P.kwargs) -> T:
        try:
            return function(*values, **named)
        except Exception as error:
            raise without_frames(error) from None
        finally:
            del values, named

    return call


def keeps_secret_arguments(kind: type[T]) -> type[T]:
    """Decorate a class whose arguments may hold a secret, as :func:`keeps_secret` does."""
    made: Any = kind
    made.__init__ = keeps_secret(made.__init__)
    return kind


@final
@keeps_secret_arguments
class Secret:
    """Octets that no repr, log or transcript shows.

    Built from octets or from ``str``, which is encoded as UTF-8. Raises GrammarError if the text
    cannot be encoded, TypeError for any other type.

    A secret compares with another secret, with ``str`` and with octets, in constant time:
    ``password == "secret"``. Only :meth:`reveal` returns the octets, so a search for it finds every
    place where a secret leaves its wrapper. ``password.reveal().decode()`` is the text.
    """

    __slots__ = ("_octets",)

    def __init__(self, value: bytes | str) -> None:
        # bytes(8) would be eight NULs, so numbers must not get that far.
        if not isinstance(value, str | bytes | bytearray | memoryview):
            raise wrong_type("a secret", value, "bytes or a str")
        try:
            self._octets = value.encode() if isinstance(value, str) else bytes(value)
        except UnicodeEncodeError:  # its text would contain the secret
            raise GrammarError("a secret cannot be encoded as UTF-8") from None

    def reveal(self) -> bytes:
        """Return the octets, not ``str``: ``reveal().decode()`` is the text."""
        return self._octets

    def __eq__(self, other: object) -> bool:
        """Compare in constant time; text is compared as UTF-8."""
        if isinstance(other, str):
            other = other.encode("utf-8", "surrogatepass")  # never equal to what is valid
        elif isinstance(other, Secret):
            other = other._octets
        if not isinstance(other, bytes | bytearray | memoryview):
            return NotImplemented
        from hmac import compare_digest  # noqa: PLC0415  # it loads OpenSSL

        return compare_digest(self._octets, other)

    def __hash__(self) -> int:
        # The same as the hash of equal text, and in CPython of equal octets in ASCII.
        return hash(self._octets.decode("utf-8", "surrogateescape"))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied")
