"""Cross references: names in docstrings and in code, and links that leave the documentation.

The annotations and docstrings name classes as their own modules know them; the pages have them
under their public names. Links in the pages work on a code forge; here they are made to work on the
site, too.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import os.path
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

from .names import ROOT, by_last_part, paths

FORGE = "https://github.com/smtpproto/smtpproto"


def setup(app: Sphinx) -> None:
    """Connect the transforms and the search for names."""
    app.add_transform(LinksThatLeave)
    app.add_transform(NamesInCode)
    app.add_transform(ClassesInContents)
    app.add_post_transform(PublicPaths)
    app.connect("missing-reference", leave_unlinked)


def public_path(name: str, module: str) -> str | None:
    """Return the path that documents what *name* means in *module*, or None."""
    name = name.lstrip(".~")
    head, *rest = name.split(".")
    for known in (name, f"{module}.{name}", namespace(module).get(head, "") + dotted(rest)):
        if (found := _by_prefix(known)) is not None:
            return found
    homes = by_last_part().get(head, ())
    # The adapters have classes for the protocols of ``ports``, which the inner rings mean.
    homes = tuple(home for home in homes if home.startswith("smtpproto.ports.")) or homes
    return homes[0] + dotted(rest) if len(homes) == 1 else None


def dotted(parts: list[str]) -> str:
    return "".join(f".{part}" for part in parts)


def _by_prefix(path: str) -> str | None:
    """Return *path* with its longest prefix that is a public name in the words of its page."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if (home := paths().get(".".join(parts[:end]))) is not None:
            return home + dotted(parts[end:])
    return None


@cache
def namespace(module: str) -> Mapping[str, str]:
    """Return the names that *module* imports or defines, also those for annotations only, each with
    the path of its definition as far as it can be seen."""
    if module not in sys.modules or not module.startswith("smtpproto"):
        return {}
    loaded = sys.modules[module]
    result: dict[str, str] = {}
    for node in ast.walk(ast.parse(inspect.getsource(loaded))):
        if isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            origin = resolve_name(base, loaded.__package__) if node.level else base
            result |= {it.asname or it.name: f"{origin}.{it.name}" for it in node.names}
        elif isinstance(node, ast.ClassDef):
            result[node.name] = f"{module}.{node.name}"
    return result


class PublicPaths(SphinxPostTransform):
    """Rewrites references to what the library defines in a module that is not public."""

    default_priority = 5  # before Sphinx resolves them

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["refdomain"] == "py" and not self._is_near(node):
                self._rewrite(node)

    def _is_near(self, node: addnodes.pending_xref) -> bool:
        """Return whether *node* refers to another member of the class that it stands in."""
        near = [node.get("py:module"), node.get("py:class"), node["reftarget"].lstrip(".")]
        return ".".join(filter(None, near)) in self.env.domains["py"].objects

    def _rewrite(self, node: addnodes.pending_xref) -> None:
        for module in (defining_module(node), node.get("py:module") or ""):
            path = public_path(node["reftarget"], module)
            if path is not None and path in self.env.domains["py"].objects:
                node["reftarget"], node["reftype"] = path, "obj"
                node.attributes.pop("refspecific", None)
                return
        if is_from_elsewhere(node["reftarget"], defining_module(node)):
            node.replace_self(node.children)


def leave_unlinked(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.TextElement
) -> nodes.TextElement | None:
    """Show a name without a link if it exists, but in a module that is not public."""
    if node["refdomain"] != "py":
        return None
    modules = (defining_module(node), node.get("py:module") or "")
    exists = any(is_internal(node["reftarget"], module) for module in modules)
    return contnode if exists else None


def is_internal(name: str, module: str) -> bool:
    """Return whether *name*, as *module* uses it, is of this library."""
    name = name.lstrip(".~")
    head, *rest = name.split(".")
    package = module.rpartition(".")[0]
    candidates = (
        name, namespace(module).get(head, "") + dotted(rest), f"{module}.{name}",
        f"{package}.{name}", f"smtpproto.{name}",
    )  # fmt: skip
    return any(it.startswith("smtpproto.") and exists(it) for it in candidates)


def exists(path: str) -> bool:
    """Return whether *path* leads to a module, or to a value in one."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            if part in getattr(value, "__annotations__", {}):
                return True
            value = getattr(value, part, None)
        return value is not None
    return False


def defining_module(node: nodes.Node) -> str:
    """Return the module that defines what the entry around *node* documents."""
    at: nodes.Node | None = node
    while at is not None and not isinstance(at, addnodes.desc):
        at = at.parent
    signature = at.children[0] if at is not None else None
    if not isinstance(signature, addnodes.desc_signature) or not signature.get("module"):
        return ""
    value: Any = import_module(signature["module"])
    module = signature["module"]
    for part in signature["fullname"].split("."):
        value = getattr(value, part, None)
        value = value.fget if isinstance(value, property) else value
        module = getattr(value, "__module__", None) or module
    return str(module)


def is_from_elsewhere(name: str, module: str) -> bool:
    """Return whether *name*, in *module*, is of the standard library or of another package."""
    head = name.split(".", maxsplit=1)[0]
    if hasattr(builtins, head):
        return True
    path = namespace(module).get(head, name)
    package = path.split(".")[0]
    return package != "smtpproto" and (package in sys.stdlib_module_names or package in sys.modules)


class LinksThatLeave(SphinxTransform):
    """Points links to files outside the documentation to the code forge, and links to folders to
    their first page."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(addnodes.download_reference)):
            self._lead_to_forge(node, node["reftarget"])
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["reftype"] != "myst":
                continue
            if node.get("refdomain") is None:
                self._lead_to_forge(node, node["reftarget"])
            elif node["reftarget"].startswith("/"):  # a page that is not one of the site
                self._lead_to_forge(node, f"{node['reftarget']}.md")

    def _lead_to_forge(self, node: nodes.Element, target: str) -> None:
        here = Path(self.env.doc2path(self.env.docname)).parent
        path = Path(os.path.normpath(here / target))
        if not path.exists() or not path.is_relative_to(ROOT):
            return  # a name or an anchor, or a fault that the build reports
        kind = "tree" if path.is_dir() else "blob"
        address = f"{FORGE}/{kind}/HEAD/{path.relative_to(ROOT).as_posix()}"
        reference = nodes.reference("", "", *node.children[0].children, refuri=address)
        node.replace_self(reference)


class ClassesInContents(SphinxTransform):
    """Leaves the members of classes out of the tables of contents, which would be long."""

    default_priority = 7

    def apply(self, **kwargs: Any) -> None:
        for node in self.document.findall(addnodes.desc_signature):
            if node.get("class"):
                node["_toc_name"] = ""


class NamesInCode(SphinxTransform):
    """Makes references of public names in code, such as ``SendRefused`` or ``TLSVerify.by_ca``."""

    default_priority = 6

    def apply(self, **kwargs: Any) -> None:
        by_hand = Path(self.env.doc2path(self.env.docname)).suffix == ".md"
        for node in list(self.document.findall(nodes.literal)):
            if node.parent is None or isinstance(node.parent, nodes.reference | nodes.title):
                continue
            if any(isinstance(it, addnodes.pending_xref) for it in ancestors(node)):
                continue
            if not (by_hand or node.astext().startswith("smtpproto.")):
                continue  # docstrings have roles
            if (path := named(node.astext())) is not None:
                self._refer(node, path)

    def _refer(self, node: nodes.literal, path: str) -> None:
        reference = addnodes.pending_xref(
            "", reftype="obj", refdomain="py", reftarget=path, refdoc=self.env.docname,
            refexplicit=True, refwarn=True,
        )  # fmt: skip
        node.replace_self(reference)
        reference.append(node)


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    found = []
    at = node.parent
    while at is not None:
        found.append(at)
        at = at.parent
    return found


def named(code: str) -> str | None:
    """Return the path of the public class or module that *code* names without doubt, or None."""
    code = code.removesuffix("()")
    if not all(part.isidentifier() for part in code.split(".")):
        return None
    if code in sys.modules and code in {path.rpartition(".")[0] for path in paths().values()}:
        return code
    if (path := paths().get(code)) is not None:
        return path
    head, *rest = code.split(".")
    homes = by_last_part().get(head, ())
    if len(homes) != 1 or not head[0].isupper() or head.isupper():
        return None
    return homes[0] + dotted(rest) if has_member(homes[0], rest) else None


def has_member(path: str, parts: list[str]) -> bool:
    """Return whether the class at *path* has the members *parts*, one in the other."""
    module, _, name = path.rpartition(".")
    value = getattr(import_module(module), name)
    if parts and parts[0] in getattr(value, "__annotations__", {}):
        return len(parts) == 1
    for part in parts:
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True
