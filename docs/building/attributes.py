"""The docstrings of attributes, which Python does not keep: they are read from the source."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap


def texts_of(kind: type) -> dict[str, str]:
    """Return the docstrings of the attributes of *kind* and of its base classes in this package,
    each on one line."""
    texts: dict[str, str] = {}
    for owner in _owners(kind):
        for node, text in itertools.pairwise(_body(owner)):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                texts.setdefault(node.target.id, " ".join(str(text.value.value).split()))
    return texts


def _owners(kind: type) -> list[type]:
    """Return *kind* and its base classes in this package."""
    return [owner for owner in kind.__mro__ if owner.__module__.startswith("smtpproto.")]


def _body(owner: type) -> list[ast.stmt]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    return tree.body
