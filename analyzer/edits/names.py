"""What the names in a flow's file stand for: Metaflow's own, under whatever name they were imported. Pure.

What comes in: a module of libcst. What goes out: a :class:`Names` that resolves an expression. Never imports anything;
a name that is bound to different things in different places stands for none of them.
"""

from __future__ import annotations

import builtins
import re
import sys
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import libcst as cst
import libcst.matchers as m

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "metaflow"
_MENTIONS = re.compile(r"\b(resources|batch|kubernetes|timeout|add_decorator|remove_decorator|decorators)\b")
"""Words without which nobody changes what a step asks for."""
_BUILTIN = frozenset(dir(builtins))
_LONGEST = 80
_MODULE = cst.Module(body=[])


class Kind(Enum):
    """What a name is bound to."""

    METAFLOW = "something of Metaflow"
    PACKAGE = "Metaflow itself"
    MADE = "what a call of Metaflow's made"
    LOCAL = "a class or function of the file"
    PYTHON = "something of Python's own"
    FOREIGN = "something of a module that is neither Metaflow's nor Python's"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an expression stands for; ``name`` is Metaflow's own, or that of the class or function in the file."""

    kind: Kind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what ``node`` comes to, or something made of it."""

    node: cst.CSTNode


Value: TypeAlias = "cst.CSTNode | Meaning | Part | None"
"""What a name is bound to: a definition, an expression, what an import means, or None for what is not followed."""
OTHER = Meaning(Kind.OTHER)
_FOREIGN = Meaning(Kind.FOREIGN)
_PYTHON = Meaning(Kind.PYTHON)
_ITSELF = Meaning(Kind.PACKAGE)


@dataclass(frozen=True, slots=True)
class Names:
    """The module's names: what they mean, and all ``values`` that each is bound to.

    ``star``: whether ``from metaflow import *`` brings all of Metaflow's; ``star_names``: what of that is taken for
    Metaflow's where other stars may have brought anything else, None where there are none.
    """

    bound: dict[str, Meaning]
    values: dict[str, list[Value]]
    star: bool = False
    star_names: frozenset[str] | None = None
    hidden: frozenset[str] = frozenset()
    _facts: dict[str, _Facts] = field(default_factory=dict)

    def within(self, body: cst.BaseSuite) -> Names:
        """As seen in the body of a class, whose own names hide the module's."""
        found = _Bindings()
        body.visit(found)
        hidden = frozenset(name for name, _ in found.bound)
        return Names(self.bound, self.values, self.star, self.star_names, hidden, self._facts)

    def resolve(self, expression: cst.BaseExpression) -> Meaning:
        """What a name or a dotted name stands for."""
        if isinstance(expression, cst.Name):
            return self._resolve_name(expression.value)
        if isinstance(expression, cst.Attribute):
            owner = self.resolve(expression.value)
            inside = owner.kind in (Kind.PACKAGE, Kind.METAFLOW)
            return Meaning(Kind.METAFLOW, expression.attr.value) if inside else owner if owner == _PYTHON else OTHER
        if isinstance(expression, cst.Subscript):  # Generic[T]
            owner = self.resolve(expression.value)
            return owner if owner == _PYTHON else OTHER
        return OTHER

    def _resolve_name(self, name: str) -> Meaning:
        if name in self.hidden:
            return OTHER
        if name in self.bound:
            return self.bound[name]
        if self.star and name not in _BUILTIN and (self.star_names is None or name in self.star_names):
            return Meaning(Kind.METAFLOW, name)
        return _PYTHON if name in _BUILTIN else OTHER

    def may_set_resources(self, name: str) -> bool:
        """Whether a class or function of the file could change what a step asks for: it speaks of that, or uses
        Metaflow itself or something of another module (Python's own excepted), or something of the file that does.
        """
        seen = {name}
        left = [name]
        while left:
            facts = self._facts_of(left.pop())
            if facts.suspect:
                return True
            left += facts.uses - seen
            seen |= facts.uses
        return False

    def _facts_of(self, name: str) -> _Facts:
        if name not in self._facts:
            self._facts[name] = self._found(self.values[name])
        return self._facts[name]

    def _found(self, values: Sequence[Value]) -> _Facts:
        uses: set[str] = set()
        for value in values:
            node = value.node if isinstance(value, Part) else value
            if isinstance(node, Meaning):
                if _is_suspect(node):
                    return _Facts(suspect=True)
            elif node is not None:
                if _MENTIONS.search(_MODULE.code_for_node(node)):
                    return _Facts(suspect=True)
                inside = _Inside()
                node.visit(inside)
                if inside.stars or any(isinstance(one, Meaning) and _is_suspect(one) for _, one in inside.bound):
                    return _Facts(suspect=True)
                uses |= inside.used
        return _Facts(suspect=False, uses=frozenset(uses & self.values.keys()))


def names_of(module: cst.Module, star_names: frozenset[str], *, with_globals: bool) -> Names:
    """The names that ``module`` binds at its top level, in ``if`` and ``try`` too, and by ``global`` anywhere.

    ``star_names`` are those that ``from metaflow import *`` is taken to bring beside other imports of that kind.
    ``with_globals``: whether the text has that word at all, without which functions need not be gone through.
    """
    found = _Bindings()
    module.visit(found)
    names = Names({}, {}, PACKAGE in found.stars, star_names if found.stars - {PACKAGE} else None)
    for name, value in [*found.bound, *(_global_names(module) if with_globals else ())]:
        meaning = _meaning(name, value, names)
        again = names.bound.get(name, meaning) == meaning and meaning.kind is not Kind.LOCAL
        names.bound[name] = meaning if again or name not in names.bound else OTHER
        names.values.setdefault(name, []).append(value)
    return names


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


def brief(text: str) -> str:
    """Source as a message shows it: on one line, and no longer than that is of use."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(text) <= _LONGEST else f"{line[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True, slots=True)
class _Facts:
    """Of something that the file defines: whether it could change what a step asks for by itself, else what it uses."""

    suspect: bool
    uses: frozenset[str] = frozenset()


def _is_suspect(meaning: Meaning) -> bool:
    """Whether who uses that could set resources."""
    return meaning.kind is Kind.FOREIGN or _MENTIONS.fullmatch(meaning.name) is not None


def _global_names(module: cst.Module) -> list[tuple[str, None]]:
    """Names that functions may bind anew."""
    found = m.findall(module, m.Global())
    return [(item.name.value, None) for one in found if isinstance(one, cst.Global) for item in one.names]


def _meaning(name: str, value: Value, names: Names) -> Meaning:
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
    return _PYTHON if top in sys.stdlib_module_names else _FOREIGN


class _Bindings(cst.CSTVisitor):
    """Every name that a body binds, in its order, with what: a definition, an expression, what an import means, or None
    for what is not followed. Functions and classes inside are entered only ``everywhere``.

    ``stars`` are the modules, Python's own excepted, of which ``*`` is imported.
    """

    def __init__(self, *, everywhere: bool = False) -> None:
        super().__init__()
        self.bound: list[tuple[str, Value]] = []
        self.stars: set[str] = set()
        self._everywhere = everywhere

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self.bound.append((node.name.value, node))
        return self._everywhere

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        self.bound.append((node.name.value, node))
        return self._everywhere

    def visit_Lambda(self, _node: cst.Lambda) -> bool:
        return self._everywhere

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
            module = "." if node.relative else dotted(node.module)
            if module.split(".")[0] not in sys.stdlib_module_names:
                self.stars.add(module)
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
        self._target(node.target, Part(node.value))

    def visit_For(self, node: cst.For) -> None:
        self._target(node.target, Part(node.iter))

    def visit_AsName(self, node: cst.AsName) -> None:
        self._target(node.name, None)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._target(node.target, node.value)

    def visit_Del(self, node: cst.Del) -> None:
        self._target(node.target, None)

    def visit_MatchAs(self, node: cst.MatchAs) -> None:
        if node.name is not None:
            self._target(node.name, None)

    def visit_MatchStar(self, node: cst.MatchStar) -> None:
        if node.name is not None:
            self._target(node.name, None)

    def _target(self, target: cst.BaseExpression, value: Value) -> None:
        if isinstance(target, cst.Name):
            self.bound.append((target.value, value))
        elif isinstance(target, (cst.Tuple, cst.List)):
            part = Part(value) if isinstance(value, cst.CSTNode) else value
            for element in target.elements:
                self._target(element.value, part)


class _Inside(_Bindings):
    """What a definition binds and uses, in its functions too."""

    def __init__(self) -> None:
        super().__init__(everywhere=True)
        self.used: set[str] = set()

    def visit_Name(self, node: cst.Name) -> None:
        self.used.add(node.value)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        node.value.visit(self)
        return False
