"""Regular expressions of a configuration.

What comes in: text. What goes out: a compiled pattern, or a refusal. Upstream matches with RE2, which takes time in
proportion to the text; Python's engine can take for ever over a text that a stranger has chosen. So what RE2 does not
have either (look-around, references to groups) is refused, and a repetition without end inside another one too, which
is what makes the time explode.
"""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    from re import _parser  # type: ignore[attr-defined]  # what `re` parses with; it has no public name
else:
    import sre_parse as _parser

_MANY = 100
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_NOT_IN_RE2 = {"ASSERT": "look-around", "ASSERT_NOT": "look-around", "GROUPREF": "a reference to a group"}


def pattern(value: Any) -> re.Pattern[str]:
    """A regular expression.

    Raises:
        ValueError: it is none, or one that may take for ever.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a regular expression, found {value!r}")
    try:
        compiled = re.compile(value)
        _check(_parser.parse(value), inside=False)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    except (RecursionError, OverflowError):
        raise ValueError(f"{value!r} is no regular expression: it is nested too deeply") from None
    return compiled


def _check(parsed: Any, *, inside: bool) -> None:
    """Refuse in a parsed expression what the module's docstring says."""
    for code, argument in parsed:
        name = str(code)
        if name in _NOT_IN_RE2:
            raise re.error(f"{_NOT_IN_RE2[name]} is not supported")
        endless = name in _REPEATS and argument[1] > _MANY
        if endless and inside:
            raise re.error("a repetition without end inside another one may take for ever; write it in another way")
        for part in _parts(name, argument):
            _check(part, inside=inside or endless)


def _parts(name: str, argument: Any) -> list[Any]:
    if name in _REPEATS:
        return [argument[2]]
    if name == "SUBPATTERN":
        return [argument[-1]]
    if name == "ATOMIC_GROUP":
        return [argument]
    if name == "BRANCH":
        return list(argument[1])
    return []
