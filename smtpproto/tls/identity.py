"""The names in a server's certificate, and whether one of them is a name that a client accepts.

Python's ``ssl`` compares a certificate with one DNS name. A client that has found its server by SRV
records accepts several, and also names of services (RFC 7817 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..grammar.ascii_case import lower
from ..grammar.printable import printable
from .binding import elements, inner

_EXTENSIONS = 0xA3  # the tag of the extensions of a certificate (RFC 5280 4.1)
_OCTETS = 0x04
_SUBJECT_ALT_NAME = bytes.fromhex("551d11")  # 2.5.29.17
_NAME_CONSTRAINTS = bytes.fromhex("551d1e")  # 2.5.29.30 (RFC 5280 4.2.1.10)
_OTHER_NAME, _DNS_NAME = 0xA0, 0x82  # tags of a GeneralName (RFC 5280 4.2.1.6)
_SRV_NAME = bytes.fromhex("2b06010505070807")  # 1.3.6.1.5.5.7.8.7, id-on-dnsSRV (RFC 4985 2)
_SHOWN = 5  # names of a certificate in an error


def identities(certificate: bytes) -> tuple[str, ...]:
    """Return the DNS names (DNS-ID) and the names of services (SRV-ID, RFC 4985) in *certificate*,
    which is in DER. Those of a service begin with an underscore. A malformed one has none."""
    try:
        return tuple(_names(certificate))
    except (ValueError, IndexError):
        return ()


def name_fault(chain: Sequence[bytes], accepted: Iterable[str]) -> str:
    """Return why no name in the first certificate of *chain* is *accepted*; "" if one is (RFC 9525
    6.3, 6.5).

    The names of services do not count if another certificate of *chain* restricts the names of
    those below it: OpenSSL does not apply that to them, so its owner could name any domain.
    """
    leaf, *others = chain or [b""]
    found, wanted = identities(leaf), tuple(map(_canonical, accepted))
    if any(map(_restricts_names, others)):
        found = tuple(it for it in found if not _is_service(it))
    if any(_matches(one, name) for one in found for name in wanted):
        return ""
    shown = ", ".join(found[:_SHOWN]) or "no name"
    return printable(f"certificate is for {shown}: not valid for {' or '.join(wanted)}")


def _restricts_names(certificate: bytes) -> bool:
    try:
        return any(identifier == _NAME_CONSTRAINTS for identifier, _ in _extensions(certificate))
    except (ValueError, IndexError):
        return True


def _is_service(name: str) -> bool:
    return name.startswith("_")


def _matches(presented: str, accepted: str) -> bool:
    """Return whether the name *presented* in a certificate stands for *accepted*.

    ``*`` may only be the whole first label, and stands for one label (RFC 9525 6.3). The name of a
    service has none.
    """
    presented = _canonical(presented)
    if presented == accepted:
        return True
    first, _, rest = accepted.partition(".")
    return presented == f"*.{rest}" and bool(first) and not _is_service(first)


def _canonical(name: str) -> str:
    return lower(name.removesuffix("."))


def _names(certificate: bytes) -> Iterator[str]:
    for identifier, octets in _extensions(certificate):
        if identifier == _SUBJECT_ALT_NAME:
            yield from _general_names(octets)


def _extensions(certificate: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield identifier and content of each extension. Raises ValueError or IndexError."""
    (_, body), *_ = elements(inner(certificate))
    extensions = dict(elements(body)).get(_EXTENSIONS)
    for _, extension in elements(inner(extensions)) if extensions else ():
        (_, identifier), *values = elements(extension)
        [octets] = (value for tag, value in values if tag == _OCTETS)
        yield identifier, octets


def _general_names(octets: bytes) -> Iterator[str]:
    """Yield the names of hosts, and those of services: each kind only as it has to be written, so
    that neither can stand for the other."""
    for tag, content in elements(inner(octets)):
        if tag == _DNS_NAME and not _is_service(name := content.decode("ascii")):
            yield name
        elif tag == _OTHER_NAME:
            (_, identifier), (_, value) = elements(content)
            if identifier == _SRV_NAME and _is_service(name := inner(value).decode("ascii")):
                yield name
