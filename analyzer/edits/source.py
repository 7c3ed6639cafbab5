"""The flows in a file as frozen records: steps, their decorators, and where in the file each part is written. Pure.

What comes in: a file's text. What goes out: a :class:`Source`, whose spans count bytes of the text in UTF-8; it holds
no node of libcst. Never runs the file or imports what it names: a base class in another file is not read.
"""

from __future__ import annotations

import ast
import bisect
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from stepsize.analyzer.edits.blocks import ClassBody, TopLevel
from stepsize.analyzer.edits.literals import is_none, number_of
from stepsize.analyzer.edits.names import (
    Kind,
    Meaning,
    Names,
    brief,
    imports_metaflow,
    is_metaflow_import,
    names_of,
)
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libcst.metadata import CodeSpan

SIZES = ("resources", "batch", "kubernetes")
"""Decorators that say what a step asks for."""
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "resources": ("cpu", "memory", "gpu", "disk"),
    "kubernetes": ("cpu", "memory", "gpu", "disk"),
    "batch": ("cpu", "memory", "gpu"),
    "timeout": ("hours", "minutes", "seconds"),
}
"""What of them is edited."""
_NEEDED = frozenset({"FlowSpec", "step", "project", *ARGUMENTS})
"""What ``from metaflow import *`` is taken to bring where another import of that kind may have brought the rest."""
_DEEPEST = 500
"""Nodes below one another: libcst's, of which there are more, are not visited so far down."""
_TOO_DEEP = "an expression in it nests too deep to be read (hundreds of operands)"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the text in UTF-8."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Argument:
    """One keyword argument: ``span`` is all of it, ``value`` its value without parentheses around it.

    ``number`` is None where the value is no number that the file itself writes; ``absent`` says that it is ``None``.
    """

    name: str
    text: str
    span: Span
    value: Span
    line: int
    number: float | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Decorator:
    """One that says what a step asks for. ``name`` is Metaflow's, ``span`` the expression after the ``@``.

    ``closing`` is where its ``)`` is, None where it is not called. ``obstacle`` says why it cannot be edited at all.
    """

    name: str
    line: int
    span: Span
    arguments: tuple[Argument, ...] = ()
    closing: int | None = None
    comma: bool = False
    obstacle: str = ""

    def argument(self, name: str) -> Argument | None:
        """The argument of that name, where it is written."""
        return next((argument for argument in self.arguments if argument.name == name), None)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A decorator or class that may change what a step asks for, in a way that the file does not show."""

    name: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A method with Metaflow's ``@step``. ``at`` is where that decorator's ``@`` is, ``step_name`` what follows it,
    ``owner`` what of that precedes ``step`` (``mf.``), or nothing. ``hidden`` are names that the class gives itself.
    ``again`` is the line where the class gives the step's name to something else, in a way that only running shows.
    """

    flow: str
    name: str
    line: int
    at: int
    owner: str
    step_name: str
    decorators: tuple[Decorator, ...]
    unknown: tuple[Unknown, ...]
    hidden: frozenset[str]
    again: int | None = None

    def decorator(self, name: str) -> Decorator | None:
        """The decorator of that name, where there is one."""
        return next((decorator for decorator in self.decorators if decorator.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A class that is a flow or a part of one. ``bases`` are classes of the file, ``imported`` those that are not, but
    for Metaflow's and Python's own: a mutator of theirs would be one of this flow, so they are ``unknown`` too.

    ``project`` is what ``@project`` says; None where there is none, empty where the file does not tell. ``rebound``:
    whether its name means something else in another place of the file.
    """

    name: str
    line: int
    bases: tuple[str, ...]
    imported: tuple[str, ...]
    project: str | None
    steps: tuple[Step, ...]
    unknown: tuple[Unknown, ...]
    rebound: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """A statement that imports something of Metaflow: where it begins, and whether that is at the top level."""

    at: int
    top: bool

    def reaches(self, step: Step) -> bool:
        """Whether what it imports is there when the decorators of ``step`` are, whatever is true before."""
        return self.top and self.at < step.at


@dataclass(frozen=True, slots=True)
class Imported:
    """One name of a ``from metaflow import``: where it is written, and what it is called here."""

    name: str
    local: str
    span: Span
    anchor: Anchor
    comma: bool
    brackets: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What was read. ``imports`` holds the names of every ``from metaflow import``, ``star`` says whether one brings
    all, ``anchors`` are the statements that import of Metaflow. ``taken`` are the names that the module gives away,
    ``known`` those of them that mean something of Metaflow and nothing else.
    """

    data: bytes
    flows: tuple[Flow, ...]
    imports: tuple[Imported, ...]
    star: bool
    anchors: tuple[Anchor, ...]
    taken: frozenset[str]
    known: frozenset[str]

    def line_of(self, offset: int) -> int:
        """The number of the line that ``offset`` is in, from 1."""
        return self.data.count(b"\n", 0, offset) + 1


def read(text: str) -> Source:
    """The flows in ``text``.

    Raises:
        UsageError: it is no Python, has blanks that libcst does not keep, or nests too deep.
    """
    try:
        _check_depth(text)
        module = cst.parse_module(text)
        if module.code != text:
            raise UsageError("it has a carriage return or a form feed alone, which is not read as it is; convert them")
        return _Reader(module, text.encode()).read()
    except cst.ParserSyntaxError as error:
        raise UsageError(f"line {error.raw_line}: this is no Python; mend it first") from None
    except (RecursionError, MemoryError):
        raise UsageError(_TOO_DEEP) from None


def _check_depth(text: str) -> None:
    """Python's own parser bounds how deep it goes; libcst's ends the process (segmentation fault), or takes minutes."""
    if "\0" in text:
        raise UsageError("it has a null byte: this is no Python")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons in the file: not ours to tell
            level: list[ast.AST] = [ast.parse(text)]
        depth = 0
        while level:
            level = [child for node in level for child in ast.iter_child_nodes(node)]
            depth += 1
        if depth > _DEEPEST:
            raise UsageError(_TOO_DEEP)
    except SyntaxError as error:  # maybe one that a later Python takes: libcst says so with its line
        if "too many nested" in error.msg:
            raise UsageError(_TOO_DEEP) from None


class _Reader:
    """Knows where each node is."""

    def __init__(self, module: cst.Module, data: bytes) -> None:
        wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
        self._spans: Mapping[cst.CSTNode, CodeSpan] = wrapper.resolve(ByteSpanPositionProvider)
        self._module = module
        self._data = data
        self._names = names_of(module, _NEEDED, with_globals=b"global" in data)
        self._line_ends = [found.start() for found in re.finditer(b"\n", data)]

    def read(self) -> Source:
        blocks = TopLevel()
        self._module.visit(blocks)
        froms = [node for node in blocks.imports if isinstance(node, cst.ImportFrom) and is_metaflow_import(node)]
        names = self._names
        return Source(
            self._data,
            tuple(self._flow(node) for node in blocks.classes),
            tuple(part for node in froms for part in self._imported(node)),
            names.star,
            tuple(self._anchor(node) for node in blocks.imports if imports_metaflow(node)),
            frozenset(names.bound),
            frozenset(name for name, meaning in names.bound.items() if meaning.kind is Kind.METAFLOW),
        )

    def _flow(self, node: cst.ClassDef) -> Flow:
        names = self._names.within(node.body)
        bases = [argument.value for argument in node.bases if argument.keyword is None]
        meanings = [self._names.resolve(base) for base in bases]
        local = tuple(meaning.name for meaning in meanings if meaning.kind is Kind.LOCAL)
        foreign = [
            base for base, meaning in zip(bases, meanings, strict=True) if meaning.kind in (Kind.OTHER, Kind.FOREIGN)
        ]
        known = [(decorator, self._meaning(decorator, self._names)) for decorator in node.decorators]
        imported = [Unknown(self._text(base), self._line(base)) for base in foreign]
        return Flow(
            name=node.name.value,
            line=self._line(node.name),
            bases=local,
            imported=tuple(one.name for one in imported),
            project=self._project(known),
            steps=tuple(self._steps(node, names)),
            unknown=(*self._unknown(known), *imported),
            rebound=self._names.resolve(node.name).kind is not Kind.LOCAL,
        )

    def _steps(self, flow: cst.ClassDef, names: Names) -> Iterator[Step]:
        body = ClassBody()
        flow.body.visit(body)
        for node, again in body.methods():
            known = [(decorator, self._meaning(decorator, names)) for decorator in node.decorators]
            step = next((decorator for decorator, meaning in known if _is(meaning, "step")), None)
            if step is None:
                continue
            callee = _callee(step)
            yield Step(
                flow=flow.name.value,
                name=node.name.value,
                line=self._line(node.name),
                at=self._spans[step].start,
                owner=f"{self._text(callee.value)}." if isinstance(callee, cst.Attribute) else "",
                step_name=self._text(callee),
                decorators=tuple(
                    self._decorator(decorator, meaning.name)
                    for decorator, meaning in known
                    if meaning.kind is Kind.METAFLOW and meaning.name in ARGUMENTS
                ),
                unknown=self._unknown(known),
                hidden=names.hidden,
                again=None if again is None else self._line(again),
            )

    def _meaning(self, decorator: cst.Decorator, names: Names) -> Meaning:
        return names.resolve(_callee(decorator))

    def _unknown(self, known: list[tuple[cst.Decorator, Meaning]]) -> tuple[Unknown, ...]:
        return tuple(
            Unknown(self._text(_callee(decorator)), self._line(decorator))
            for decorator, meaning in known
            if not self._is_harmless(meaning)
        )

    def _is_harmless(self, meaning: Meaning) -> bool:
        """Metaflow's own are what they say. One that the file defines is, if nothing in it could set resources."""
        if meaning.kind is Kind.LOCAL:
            return not self._names.may_set_resources(meaning.name)
        made = meaning.kind is Kind.MADE and meaning.name not in ARGUMENTS
        return made or meaning.kind is Kind.METAFLOW

    def _project(self, known: list[tuple[cst.Decorator, Meaning]]) -> str | None:
        decorator = next((decorator for decorator, meaning in known if _is(meaning, "project")), None)
        if decorator is None or not isinstance(decorator.decorator, cst.Call):
            return None
        for argument in decorator.decorator.args:
            if argument.keyword is not None and argument.keyword.value == "name":
                value = argument.value.evaluated_value if isinstance(argument.value, cst.SimpleString) else ""
                return value if isinstance(value, str) else ""
        return ""

    def _decorator(self, decorator: cst.Decorator, name: str) -> Decorator:
        expression = decorator.decorator
        span, line = self._span(expression), self._line(decorator)
        if not isinstance(expression, cst.Call):
            return Decorator(name, line, span)
        nameless = next((argument for argument in expression.args if argument.keyword is None), None)
        said = "" if nameless is None else f"@{name}({brief(self._text(nameless))})"
        obstacle = said and f"{said} says what it asks for elsewhere"
        if nameless is not None and not nameless.star:
            obstacle = f"{said} lacks a name, which Metaflow does not take"
        return Decorator(
            name=name,
            line=line,
            span=span,
            arguments=tuple(self._argument(one) for one in expression.args if one.keyword is not None),
            closing=span.end - 1,
            comma=bool(expression.args) and isinstance(expression.args[-1].comma, cst.Comma),
            obstacle=obstacle,
        )

    def _argument(self, argument: cst.Arg) -> Argument:
        value = argument.value
        return Argument(
            name=argument.keyword.value if argument.keyword else "",
            text=self._text(value),
            span=self._span(argument),
            value=self._span(value),
            line=self._line(value),
            number=number_of(value),
            absent=is_none(value),
        )

    def _imported(self, statement: cst.ImportFrom) -> Iterator[Imported]:
        if isinstance(statement.names, cst.ImportStar):
            return
        for alias in statement.names:
            name = alias.evaluated_name
            yield Imported(
                name=name,
                local=alias.evaluated_alias or name,
                span=self._span(alias),
                anchor=self._anchor(statement),
                comma=isinstance(alias.comma, cst.Comma),
                brackets=statement.lpar is not None,
            )

    def _anchor(self, statement: cst.Import | cst.ImportFrom) -> Anchor:
        lines = (line for line in self._module.body if isinstance(line, cst.SimpleStatementLine))
        return Anchor(self._spans[statement].start, any(statement in line.body for line in lines))

    def _span(self, node: cst.CSTNode) -> Span:
        span = self._spans[node]
        return Span(span.start, span.start + span.length)

    def _text(self, node: cst.CSTNode) -> str:
        span = self._span(node)
        return self._data[span.start : span.end].decode()

    def _line(self, node: cst.CSTNode) -> int:
        return bisect.bisect_left(self._line_ends, self._spans[node].start) + 1


def _is(meaning: Meaning, name: str) -> bool:
    return meaning.kind is Kind.METAFLOW and meaning.name == name


def _callee(decorator: cst.Decorator) -> cst.BaseExpression:
    expression = decorator.decorator
    return expression.func if isinstance(expression, cst.Call) else expression
