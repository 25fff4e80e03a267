"""No class has so many fields that a reader cannot keep them in mind."""

from __future__ import annotations

import importlib
import pkgutil

import attrs

import smtpproto

MOST_FIELDS = 20
OPTIONS = {"MTAConfig"}  # each field is a keyword argument, and is read alone


def classes() -> list[type]:
    """Return all classes of the library but those of its programs."""
    names = [it.name for it in pkgutil.walk_packages(smtpproto.__path__, "smtpproto.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    members = [it for module in modules for it in vars(module).values() if isinstance(it, type)]
    return [it for it in dict.fromkeys(members) if it.__module__.startswith("smtpproto.")]


def fields_of(kind: type) -> set[str]:
    """Return the fields and slots of *kind* and its bases."""
    slots = {name for base in kind.__mro__ for name in getattr(base, "__slots__", ())}
    fields = {field.name for field in attrs.fields(kind)} if attrs.has(kind) else set()
    return fields | slots - {"__weakref__"}


def test_no_class_has_more_than_20_fields() -> None:
    assert len(classes()) > 100
    large = {it.__name__ for it in classes() if len(fields_of(it)) > MOST_FIELDS}
    assert large <= OPTIONS
