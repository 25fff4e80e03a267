"""Envelopes that many tests send."""

from __future__ import annotations

from smtpproto import Envelope

TO_BOB = Envelope("ann@example.org", "bob@example.org")
TO_TWO = Envelope("ann@example.org", ["a@b.example", "c@d.example"])
TO_THREE = Envelope("ann@example.org", ["a@b.example", "c@d.example", "e@f.example"])
