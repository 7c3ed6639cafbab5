"""What the names in a flow's file stand for: Metaflow's own, under whatever name they were imported. Pure.

What comes in: a module of libcst. What goes out: a :class:`Names` that resolves an expression. Never imports anything;
a name that is bound to different things in different places stands for none of them.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from enum import Enum

import libcst as cst
import libcst.matchers as m

PACKAGE = "metaflow"
_MENTIONS = re.compile(r"\b(resources|batch|kubernetes|timeout|add_decorator|remove_decorator|decorators)\b")
"""Words without which nobody changes what a step asks for."""


class Kind(Enum):
    """What a name is bound to."""

    METAFLOW = "something of Metaflow"
    PACKAGE = "Metaflow itself"
    MADE = "what a call of Metaflow's made"
    LOCAL = "a class or function of the file"
    FOREIGN = "something of a module that is neither Metaflow's nor Python's"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an expression stands for; ``name`` is Metaflow's own, or that of the class or function in the file."""

    kind: Kind
    name: str = ""


OTHER = Meaning(Kind.OTHER)
_FOREIGN = Meaning(Kind.FOREIGN)
_ITSELF = Meaning(Kind.PACKAGE)


@dataclass(frozen=True, slots=True)
class Names:
    """The module's names. ``star``: whether ``from metaflow import *`` brings all of Metaflow's."""

    bound: dict[str, Meaning]
    local: dict[str, cst.ClassDef | cst.FunctionDef]
    star: bool = False
    hidden: frozenset[str] = frozenset()

    def within(self, body: cst.BaseSuite) -> Names:
        """As seen in the body of a class, whose own names hide the module's."""
        found = _Bindings()
        body.visit(found)
        return Names(self.bound, self.local, self.star, frozenset(name for name, _ in found.bound))

    def resolve(self, expression: cst.BaseExpression) -> Meaning:
        """What a name or a dotted name stands for."""
        if isinstance(expression, cst.Name):
            return self._resolve_name(expression.value)
        if isinstance(expression, cst.Attribute):
            owner = self.resolve(expression.value)
            inside = owner.kind in (Kind.PACKAGE, Kind.METAFLOW)
            return Meaning(Kind.METAFLOW, expression.attr.value) if inside else OTHER
        return OTHER

    def _resolve_name(self, name: str) -> Meaning:
        if name in self.hidden:
            return OTHER
        if name in self.bound:
            return self.bound[name]
        return Meaning(Kind.METAFLOW, name) if self.star else OTHER


def names_of(module: cst.Module) -> Names:
    """The names that ``module`` binds at its top level, in ``if`` and ``try`` too."""
    found = _Bindings()
    module.visit(found)
    names = Names({}, {}, found.star)
    for name, value in found.bound:
        meaning = _meaning(name, value, names)
        names.bound[name] = meaning if names.bound.get(name, meaning) == meaning and name not in names.local else OTHER
        if isinstance(value, (cst.ClassDef, cst.FunctionDef)):
            names.local[name] = value
    return names


def may_set_resources(name: str, names: Names) -> bool:
    """Whether a class or function of the file could change what a step asks for: it speaks of that, or uses something
    of another module (Python's own excepted), or another definition of the file that does.
    """
    seen: set[str] = set()
    left = [name]
    while left:
        seen.add(left[-1])
        definition = names.local[left.pop()]
        if _MENTIONS.search(cst.Module(body=[definition]).code):
            return True
        used = {node.value for node in m.findall(definition, m.Name()) if isinstance(node, cst.Name)}
        meanings = [names.bound[one] for one in used if one in names.bound]
        if any(meaning.kind is Kind.FOREIGN for meaning in meanings):
            return True
        left += [one.name for one in meanings if one.kind is Kind.LOCAL and one.name not in seen]
    return False


def is_metaflow_import(node: cst.ImportFrom) -> bool:
    """Whether it is ``from metaflow import …``; of a module below it not."""
    return not node.relative and dotted(node.module) == PACKAGE


def imports_metaflow(node: cst.Import | cst.ImportFrom) -> bool:
    """Whether it imports Metaflow, a part of it, or from either."""
    if isinstance(node, cst.ImportFrom):
        return not node.relative and dotted(node.module).split(".")[0] == PACKAGE
    return any(dotted(alias.name).split(".")[0] == PACKAGE for alias in node.names)


def dotted(expression: cst.BaseExpression | None) -> str:
    """``a.b.c`` of a dotted name, else nothing."""
    if isinstance(expression, cst.Name):
        return expression.value
    if isinstance(expression, cst.Attribute):
        owner = dotted(expression.value)
        return f"{owner}.{expression.attr.value}" if owner else ""
    return ""


def _meaning(name: str, value: cst.CSTNode | Meaning | None, names: Names) -> Meaning:
    if isinstance(value, Meaning):
        return value
    if isinstance(value, (cst.ClassDef, cst.FunctionDef)):
        return Meaning(Kind.LOCAL, name)
    if isinstance(value, cst.Call) and names.resolve(value.func).kind is Kind.METAFLOW:
        return Meaning(Kind.MADE, names.resolve(value.func).name)
    return names.resolve(value) if isinstance(value, (cst.Name, cst.Attribute)) else OTHER


def _imported(path: str, name: str) -> Meaning:
    """What an import of ``path`` means; a relative one begins with a dot."""
    top = path.split(".", maxsplit=1)[0]
    if top == PACKAGE:
        return _ITSELF if path == PACKAGE else Meaning(Kind.METAFLOW, name)
    return OTHER if top in sys.stdlib_module_names else _FOREIGN


class _Bindings(cst.CSTVisitor):
    """Every name that a body binds, in its order, with what: a definition, an expression, what an import means, or None
    for what is not followed. Functions and classes inside are not entered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[tuple[str, cst.CSTNode | Meaning | None]] = []
        self.star = False

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self.bound.append((node.name.value, node))
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        self.bound.append((node.name.value, node))
        return False

    def visit_Lambda(self, _node: cst.Lambda) -> bool:
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        for alias in node.names:
            path = dotted(alias.name)
            top = path.split(".")[0]
            if alias.asname is not None:
                self.bound.append((dotted(alias.asname.name), _imported(path, path.rpartition(".")[2])))
            else:
                self.bound.append((top, _imported(top, top)))
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if isinstance(node.names, cst.ImportStar):
            self.star = self.star or is_metaflow_import(node)
            return False
        module = "" if node.relative else dotted(node.module)
        for alias in node.names:
            name = dotted(alias.name)
            local = dotted(alias.asname.name) if alias.asname else name
            self.bound.append((local, _imported(f"{module}.{name}", name)))
        return False

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._target(target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self._target(node.target, node.value)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._target(node.target, None)

    def visit_For(self, node: cst.For) -> None:
        self._target(node.target, None)

    def visit_AsName(self, node: cst.AsName) -> None:
        self._target(node.name, None)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._target(node.target, None)

    def visit_Del(self, node: cst.Del) -> None:
        self._target(node.target, None)

    def visit_MatchAs(self, node: cst.MatchAs) -> None:
        if node.name is not None:
            self._target(node.name, None)

    def visit_MatchStar(self, node: cst.MatchStar) -> None:
        if node.name is not None:
            self._target(node.name, None)

    def _target(self, target: cst.BaseExpression, value: cst.CSTNode | None) -> None:
        if isinstance(target, cst.Name):
            self.bound.append((target.value, value))
        elif isinstance(target, (cst.Tuple, cst.List)):
            for element in target.elements:
                self._target(element.value, None)
