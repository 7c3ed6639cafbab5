"""What the blocks of a file hold: its classes and imports, the methods of a class. Pure.

What comes in: nodes of libcst that visit these. What goes out: other nodes, in the order of the text. Functions are not
entered, nor are classes within classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCKS = (cst.If, cst.Try, cst.TryStar, cst.For, cst.While, cst.With, cst.Match)
"""What may or may not be carried out."""


class ClassBody(cst.CSTVisitor):
    """What a class binds its names to, in the order of its text: methods and others, in ``if`` and such too."""

    def __init__(self) -> None:
        super().__init__()
        self._bound: dict[str, list[tuple[cst.CSTNode, bool]]] = {}
        self._blocks = 0

    def methods(self) -> Iterator[tuple[cst.FunctionDef, cst.CSTNode | None]]:
        """Each method that the class may keep, with what else it may keep under that name.

        Of definitions one after another, in no block, the last one counts.
        """
        for bindings in self._bound.values():
            methods = [isinstance(node, cst.FunctionDef) and not in_block for node, in_block in bindings]
            kept = bindings[len(methods) - 1 - methods[::-1].index(True) :] if any(methods) else bindings
            for node, _ in kept:
                if isinstance(node, cst.FunctionDef):
                    yield node, next((other for other, _ in kept if other is not node), None)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self._bind(node.name.value, node)
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        self._bind(node.name.value, node)
        return False

    def visit_AssignTarget(self, node: cst.AssignTarget) -> bool:
        if isinstance(node.target, cst.Name):
            self._bind(node.target.value, node)
        return False

    def visit_Del(self, node: cst.Del) -> bool:
        if isinstance(node.target, cst.Name):
            self._bind(node.target.value, node)
        return False

    def on_visit(self, node: cst.CSTNode) -> bool:
        self._blocks += isinstance(node, _BLOCKS)
        return super().on_visit(node)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._blocks -= isinstance(original_node, _BLOCKS)
        super().on_leave(original_node)

    def _bind(self, name: str, node: cst.CSTNode) -> None:
        self._bound.setdefault(name, []).append((node, self._blocks > 0))


class TopLevel(cst.CSTVisitor):
    """Classes and imports that a module's top level carries out, in ``if`` and ``try`` too."""

    def __init__(self) -> None:
        super().__init__()
        self.classes: list[cst.ClassDef] = []
        self.imports: list[cst.Import | cst.ImportFrom] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        self.classes.append(node)
        return False

    def visit_FunctionDef(self, _node: cst.FunctionDef) -> bool:
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        self.imports.append(node)
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        self.imports.append(node)
        return False
