"""The leniencies that our server needs to pass the suites of CPython and Django."""

from __future__ import annotations

from smtpproto import Leniencies, Tolerance

WITHOUT_DOMAIN = Leniencies(missing_domain=Tolerance.ACCEPT)
"""Addresses such as ``John``: both suites use them."""
