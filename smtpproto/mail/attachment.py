"""Files in a message: their media type, their name, and their octets, which arrive unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from ..grammar.ascii_case import lower
from ..grammar.printable import quoted
from ..grammar.reply import GrammarError
from .header_values import field_value

if TYPE_CHECKING:
    from email.message import EmailMessage

__all__ = ["UNKNOWN_TYPE", "AttachedFile", "attach", "relate"]

UNKNOWN_TYPE = "application/octet-stream"
_SEPARATORS = "/\\"


@frozen(kw_only=True)
class AttachedFile:
    """A file that a message carries."""

    name: str
    """The name that its reader sees."""
    content: bytes
    type: str = UNKNOWN_TYPE
    """The media type, with parameters if wanted: ``text/calendar; method=REQUEST``."""


def attach(file: AttachedFile, message: EmailMessage) -> None:
    """Add *file* to *message*. Raises GrammarError if its name or its type is not usable."""
    message.add_attachment(file.content, **_arguments(file))


def relate(file: AttachedFile, html: EmailMessage, cid: str) -> None:
    """Add *file* to the part *html*, which shows it as ``cid:`` and *cid* (RFC 2392). Raises
    GrammarError as :func:`attach` does."""
    html.add_related(file.content, **_arguments(file), disposition="inline", cid=f"<{cid}>")
    html.set_param("type", "text/html")  # RFC 2387 3.1


def _arguments(file: AttachedFile) -> dict[str, Any]:
    name = field_value(file.name, "the name of a file")
    if not name or any(it in name for it in _SEPARATORS):
        raise GrammarError(f"not a name of a file: {quoted(name)}; leave out directories")
    maintype, subtype, parameters = _read_type(file.type)
    if maintype == "text" and "charset" not in parameters and _is_utf8_only(file.content):
        parameters["charset"] = "utf-8"
    return {"maintype": maintype, "subtype": subtype, "filename": name, "params": parameters}


def _is_utf8_only(content: bytes) -> bool:
    """Return whether *content* is UTF-8, and not ASCII, which needs no charset."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return not content.isascii()


def _read_type(text: str) -> tuple[str, str, dict[str, str]]:
    """Return the two names and the parameters of a media type. Raises GrammarError."""
    from email.policy import default  # noqa: PLC0415  it is large

    value: Any = default.header_factory("Content-Type", field_value(text, "the type of a file"))
    if value.defects or not value.subtype:
        raise GrammarError(f"not a media type: {quoted(text)}; write it as 'text/plain'")
    if value.maintype in ("multipart", "message"):
        advice = f"pass an EmailMessage as the attachment, or the type {UNKNOWN_TYPE}"
        raise GrammarError(f"octets cannot have the type {quoted(text)} (RFC 2046 5); {advice}")
    return lower(value.maintype), lower(value.subtype), dict(value.params)
