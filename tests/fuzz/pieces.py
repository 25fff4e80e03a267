"""How targets read choices and pieces from their input."""

from __future__ import annotations

from tests.support.pieces import cut_at, single_octets

CUTS = 4  # octets of the input


def splits(data: bytes) -> tuple[bytes, list[list[bytes]]]:
    """Return all octets after the first four, as a whole and in pieces: cut where the first four
    say, and octet by octet."""
    cuts, rest = data[:CUTS], data[CUTS:]
    return rest, [[piece for piece in cut_at(rest, cuts) if piece], single_octets(rest)]
