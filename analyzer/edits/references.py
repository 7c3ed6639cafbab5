"""How a flow's file calls one of Metaflow's decorators, and what to import for that. Pure.

What comes in: what was read of the file, and a step. What goes out: the name to write behind the ``@``, and what it
takes at the imports: ``mf.resources`` where the step says ``@mf.step``, else a name beside that of ``step``.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from stepsize.analyzer.edits.splices import Splice, begins_line, indent, items, line_above, line_end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.edits.source import Imported, Source, Step

_ORDERS: tuple[Callable[[str], tuple[int, str]], ...] = (
    lambda name: (0, name),
    lambda name: (0, name.casefold()),
    lambda name: (0 if name.isupper() else 1 if name[:1].isupper() else 2, name.casefold()),
)
"""Orders in which people and tools keep names: by character, whatever the case, constants and classes first."""


class References:
    """The names for one file's edits; an import is extended once, however many steps need it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._added: dict[str, tuple[str, Step]] = {}

    def name(self, step: Step, decorator: str) -> str | None:
        """What to write behind the ``@`` for Metaflow's ``decorator``; None where nothing can be imported beside
        ``step``.
        """
        if step.owner:
            return f"{step.owner}{decorator}"
        for one in self._source.imports:
            seen = one.local in self._source.known and one.local not in step.hidden
            if one.name == decorator and seen and self._is_there(one, step):
                return one.local
        taken = {*self._source.taken, *step.hidden}
        if self._source.star and decorator not in taken:
            return decorator
        if not self._source.anchors:
            return None
        local = decorator if decorator not in taken else f"metaflow_{decorator}"
        self._added.setdefault(local, (decorator, step))
        return local

    def splices(self) -> list[Splice]:
        """What the imports take."""
        if not self._added:
            return []
        names = sorted((decorator, local) for local, (decorator, _) in self._added.items())
        texts = [name if name == local else f"{name} as {local}" for name, local in names]
        first = min((step for _, step in self._added.values()), key=lambda step: step.at)
        beside = self._beside(first)
        if beside:
            return _inserted(self._source.data, beside, texts)
        anchors = self._source.anchors
        anchor = next((one for one in anchors if one.reaches(first)), anchors[0])
        return [line_above(self._source.data, anchor.at, f"from metaflow import {', '.join(texts)}")]

    def _is_there(self, one: Imported, step: Step) -> bool:
        """Whether the name is bound where ``step`` is: an import in an ``if``, or further down, may not have been."""
        brought = (other for other in self._source.imports if other.local == step.step_name)
        return one.anchor.reaches(step) or any(other.anchor == one.anchor for other in brought)

    def _beside(self, step: Step) -> list[Imported]:
        """The names of the ``from metaflow import`` to extend: the one that brings ``step``, else one at the top."""
        imports = self._source.imports
        brings = [one for one in imports if one.local == step.step_name]
        top = [one for one in (*brings, *imports) if one.anchor.reaches(step)]
        chosen = next(iter([*top, *brings]), None)
        return [one for one in imports if chosen is not None and one.anchor == chosen.anchor]


def _inserted(data: bytes, beside: Sequence[Imported], texts: Sequence[str]) -> list[Splice]:
    """New names of a ``from metaflow import``: in its order where it keeps one, else at its end."""
    names = [one.name for one in beside]
    for order in _ORDERS:
        keys = [order(name) for name in names]
        places = [bisect.bisect(keys, order(text.split(" ")[0])) for text in texts]
        if keys == sorted(keys):
            break
    else:
        places = [len(names)] * len(texts)
    splices = []
    for place in dict.fromkeys(places):
        new = [text for text, its in zip(texts, places, strict=True) if its == place]
        if place < len(names):
            splices.append(_before(data, beside[place], new))
        else:
            splices += items(data, beside[-1].span, new, comma=beside[-1].comma, lines=beside[-1].brackets)
    return splices


def _before(data: bytes, item: Imported, texts: Sequence[str]) -> Splice:
    at = item.span.start
    if not (item.brackets and begins_line(data, at)):
        return Splice(at, at, "".join(f"{text}, " for text in texts))
    return Splice(at, at, "".join(f"{text},{line_end(data, at)}{indent(data, at)}" for text in texts))
