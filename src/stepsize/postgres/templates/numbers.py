"""Numbers as a template has them, and back.

What comes in: templates, decimals. What goes out: texts, decimals, or a
:class:`~stepsize.postgres.templates.dates.TemplateError`. Pure. The locale is C: no currency, ``,`` and ``.`` as in
English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING

from stepsize.postgres.templates.dates import TemplateError, ordinal

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = re.compile(
    r'(?P<key>EEEE|eeee|FM|fm|PR|pr|MI|mi|PL|pl|SG|sg|RN|rn|TH|th|[09.,DdGgLlSsVv])|"(?P<quoted>(?:\\.|[^"\\])*)(?:"|\Z)'
    r"|\\(?P<escaped>.)|(?P<plain>.)",
    re.DOTALL,
)
_MOST_DIGITS = 1000
_ROMAN = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL")),
    *((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)


_SIGNS = frozenset({"S", "MI", "PL", "SG", "PR"})


@dataclass(frozen=True, slots=True)
class Template:
    """A template of numbers.

    Attributes:
        pieces: pairs of a key, in capitals, and what was written.
        whole: digits before the point.
        decimals: digits behind it.
        first_zero: which digit the leading zeros begin with, -1 where there are none.
        is_filled: whether it is as wide as the template.
        shift: how many digits a V moves it.
        keys: all of them.
    """

    pieces: tuple[tuple[str, str], ...]
    whole: int
    decimals: int
    first_zero: int
    is_filled: bool
    shift: int
    keys: frozenset[str]


@lru_cache(maxsize=256)
def template_of(text: str) -> Template:
    """What a template says.

    Raises:
        TemplateError: it is none.
    """
    pieces = tuple(map(_piece, _PIECE.finditer(text)))
    keys = [key for key, _ in pieces if key]
    points = [place for place, key in enumerate(keys) if key == "."]
    signs = [key for key in keys if key in _SIGNS]
    if len(points) > 1:
        raise TemplateError("42601", "multiple decimal points")
    if points and "V" in keys:
        raise TemplateError("42601", 'cannot use "V" and decimal point together')
    if len(set(signs)) != len(signs) or ("S" in signs and len(signs) > 1) or {"PR", "PL"} <= set(signs):
        raise TemplateError("42601", "a template has one sign")
    point = points[0] if points else len(keys)
    whole = [key for key in keys[:point] if key in {"0", "9"}]
    decimals = [key for key in keys[point:] if key in {"0", "9"}]
    if len(whole) + len(decimals) > _MOST_DIGITS:
        raise TemplateError("22023", "a template of so many digits is not supported")
    if points and not decimals:  # Postgres ends there
        pieces = pieces[: next(place for place, (key, _) in enumerate(pieces) if key == ".")]
    return Template(
        pieces,
        len(whole),
        len(decimals),
        whole.index("0") if "0" in whole else -1,
        is_filled="FM" not in keys,
        shift=sum(key in {"0", "9"} for key in keys[keys.index("V") :]) if "V" in keys else 0,
        keys=frozenset(keys),
    )


def _piece(found: re.Match[str]) -> tuple[str, str]:
    if key := found["key"]:
        return {"D": ".", "G": ","}.get(key.upper(), key.upper()), key
    quoted = found["quoted"]
    if quoted is not None:
        return "", re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    return "", found["escaped"] or found["plain"]


def shown(number: Decimal, text: str) -> str:
    """A number as a template has it; ``#`` for each digit where it has too many.

    Raises:
        TemplateError: the template is none.
    """
    template = template_of(text)
    if "RN" in template.keys:
        return _roman(number, template, is_small="rn" in text)
    if "EEEE" in template.keys:
        return _scientific(number, template)
    if not number.is_finite():
        return _placed("", "", template, is_negative=number.is_signed() and not number.is_nan(), is_over=True)
    scaled = abs(number).scaleb(template.shift)
    rounded = scaled.quantize(Decimal(1).scaleb(-template.decimals), ROUND_HALF_UP)
    whole, _, fraction = f"{rounded:f}".partition(".")
    whole = whole.lstrip("0")
    is_negative = number < 0 and rounded != 0
    return _placed(whole, fraction, template, is_negative=is_negative, is_over=len(whole) > template.whole)


def _placed(whole: str, fraction: str, template: Template, *, is_negative: bool, is_over: bool) -> str:
    """Digits where the template has them, with its sign."""
    if is_over:
        whole, fraction = "#" * template.whole, "#" * template.decimals
    digits = whole.rjust(template.whole)
    if template.first_zero >= 0:
        lead = template.first_zero
        digits = digits[:lead] + digits[lead:].replace(" ", "0")
    behind = fraction if template.is_filled else _cut(fraction, template)
    if not digits.strip() and template.whole and (not template.decimals or (not template.is_filled and not behind)):
        digits = digits[:-1] + "0"
    return "".join(_Placing(digits, behind, template, is_negative=is_negative).parts())


def _cut(fraction: str, template: Template) -> str:
    """Decimals without the zeros that a template with FM leaves away: those of its last nines."""
    keys = [key for key, _ in template.pieces]
    kinds = [key for key in keys[keys.index(".") :] if key in {"0", "9"}] if "." in keys else []
    kept = max((place for place, key in enumerate(kinds, 1) if key == "0"), default=0)
    return fraction[:kept] + fraction[kept:].rstrip("0")


class _Placing:
    """Digits that are being put into a template."""

    def __init__(self, digits: str, behind: str, template: Template, *, is_negative: bool) -> None:
        self._template = template
        self._digits = digits
        self._behind = behind
        self._is_negative = is_negative
        self._left = template.whole + template.decimals
        self._blank = " " if template.is_filled else ""
        self._before, self._after = self._sign()

    def _sign(self) -> tuple[str, str]:
        """What stands before the first digit that is shown, and behind the last one."""
        keys = self._template.keys
        if "S" in keys:
            sign = "-" if self._is_negative else "+"
            places = [key for key, _ in self._template.pieces if key in {"S", "0", "9"}] or ["S"]
            return (sign, "") if places[0] == "S" else ("", sign)
        if "PR" in keys:
            return ("<", ">") if self._is_negative else (self._blank, self._blank)
        if keys & {"MI", "SG"}:
            return "", ""
        return ("-" if self._is_negative else self._blank), ""

    def parts(self) -> Iterator[str]:
        """All of it, one after the other."""
        used = 0
        is_behind = has_begun = False
        for key, said in self._template.pieces:
            shown_as = ""
            if key in {"0", "9"}:
                self._left -= 1
                shown_as = self._digit(used, is_behind=is_behind)
                used += 1
            elif key == ".":
                is_behind, used, shown_as = True, 0, "."
            elif key == ",":
                shown_as = "," if has_begun else self._blank
            elif not key:
                shown_as = said
            else:
                shown_as = self._other(key, said)
            if not has_begun and key in {"0", "9", "."} and shown_as.strip():
                has_begun = True
                yield self._before
            yield shown_as
            if key in {"0", "9"} and not self._left:
                yield self._after

    def _digit(self, used: int, *, is_behind: bool) -> str:
        if is_behind:
            return self._behind[used : used + 1]
        digit = self._digits[used]
        return self._blank if digit == " " else digit

    def _other(self, key: str, said: str) -> str:
        if key in {"MI", "PL"}:
            is_shown = self._is_negative == (key == "MI")
            return ("-" if key == "MI" else "+") if is_shown else self._blank
        if key == "SG":
            return "-" if self._is_negative else "+"
        if key == "TH" and not self._is_negative and not self._template.decimals and "#" not in self._digits:
            return ordinal(self._digits.strip(), said)
        return " " if key == "L" else ""


def _scientific(number: Decimal, template: Template) -> str:
    if not number.is_finite():
        return " " + "#" * (template.whole + template.decimals + 5)
    said = f"{number:.{template.decimals}e}"
    mantissa, _, exponent = said.partition("e")
    power = int(exponent)
    return f"{'' if number < 0 else ' '}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _roman(number: Decimal, template: Template, *, is_small: bool) -> str:
    value = int(number.to_integral_value(ROUND_HALF_UP)) if number.is_finite() else 0
    if not 0 < value < 4000:
        said = "#" * 15
    else:
        said = ""
        for size, letters in _ROMAN:
            said += letters * (value // size)
            value %= size
    said = said.lower() if is_small else said
    return f"{said:>15}" if template.is_filled else said


def read(text: str, template_text: str) -> Decimal:
    """The number that a text says by a template.

    Raises:
        TemplateError: it says none.
    """
    template = template_of(template_text)
    if template.keys & {"RN", "EEEE"}:
        raise TemplateError("0A000", "this template is not supported where a text is read")
    said = text.strip()
    is_negative = "-" in said or (said.startswith("<") and "PR" in template.keys)
    kept = re.sub(r"[^0-9.]", "", said)
    whole, _, fraction = kept.partition(".")
    digits = f"{whole[: template.whole] or '0'}.{fraction.replace('.', '')[: template.decimals] or '0'}"
    if not kept:
        raise TemplateError("22P02", f'invalid input syntax for type numeric: "{text}"')
    try:
        found = Decimal(digits)
    except InvalidOperation:
        raise TemplateError("22P02", f'invalid input syntax for type numeric: "{text}"') from None
    found = found.quantize(Decimal(1).scaleb(-len(fraction[: template.decimals])))
    return (-found if is_negative else found).scaleb(-template.shift)
