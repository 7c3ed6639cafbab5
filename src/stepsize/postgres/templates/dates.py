"""Times as a template has them; ``date_reading`` is the way back.

What comes in: templates, times. What goes out: texts, or a :class:`TemplateError`. Pure. In English whatever the
locale is, as in the C locale.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November"),
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
JULIAN = 1_721_425
"""The Julian day before the first day of Python's calendar."""


class TemplateError(Exception):
    """A template, or a text, that is none; ``code`` is its SQLSTATE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} (SQLSTATE {code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class Span:
    """An interval, as its parts."""

    months: int
    days: int
    microseconds: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What a template has at one place: a key with its modifiers, or a text."""

    key: str = ""
    text: str = ""
    is_filled: bool = True
    ordinal: str = ""


_KEYS = (
    *("A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "Day", "Dy", "D"),
    *("FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I"),
    *("J", "MI", "MM", "MONTH", "MON", "MS", "Month", "Mon", "OF", "P.M.", "PM", "Q", "RM", "SSSSS", "SSSS", "SS"),
    *("TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y"),
    *("a.d.", "a.m.", "ad", "am", "b.c.", "bc", "month", "mon", "day", "dy", "p.m.", "pm", "rm", "tz"),
)
_BY_LENGTH = sorted({*_KEYS, *(one.lower() for one in _KEYS)}, key=len, reverse=True)
_OWN = frozenset(_KEYS)
_PIECE = re.compile(
    r"(?P<prefix>(?:FM|fm|FX|fx|TM|tm)*)(?P<key>" + "|".join(map(re.escape, _BY_LENGTH)) + r")(?P<suffix>TH|th|SP)?"
    r'|"(?P<quoted>(?:\\.|[^"\\])*)(?:"|\Z)|(?:FX|fx|FM|fm)|\\(?P<escaped>.)|(?P<plain>.)',
    re.DOTALL,
)


@lru_cache(maxsize=256)
def pieces(template: str) -> tuple[Piece, ...]:
    """What a template has, one after the other."""
    return tuple(_piece(one) for one in _PIECE.finditer(template))


def _piece(found: re.Match[str]) -> Piece:
    if (key := found["key"]) is not None:
        own = key if key in _OWN else key.upper()
        return Piece(own, "", "FM" not in found["prefix"].upper(), found["suffix"] or "")
    if found["quoted"] is not None:
        return Piece(text=re.sub(r"\\(.)", r"\1", found["quoted"], flags=re.DOTALL))
    return Piece(text=found["escaped"] or found["plain"] or "")


_Moment: TypeAlias = dt.datetime


def _padded(width: int, number: Callable[[_Moment], int]) -> Callable[[_Moment, bool], str]:
    return lambda moment, is_filled: f"{number(moment):0{width if is_filled else 0}d}"


def _named(names: tuple[str, ...], place: Callable[[_Moment], int], case: str) -> Callable[[_Moment, bool], str]:
    def name(moment: _Moment, is_filled: bool) -> str:
        said = getattr(names[place(moment)], case)()
        return f"{said:9}" if is_filled else str(said)

    return name


def _short(names: tuple[str, ...], place: Callable[[_Moment], int], case: str) -> Callable[[_Moment, bool], str]:
    return lambda moment, _: str(getattr(names[place(moment)][:3], case)())


def _always(said: str) -> Callable[[_Moment, bool], str]:
    return lambda _, __: said


def _half(before: str, after: str) -> Callable[[_Moment, bool], str]:
    return lambda moment, _: before if moment.hour < 12 else after


def _month(moment: _Moment) -> int:
    return moment.month - 1


def _day_of_year(moment: _Moment) -> int:
    return moment.timetuple().tm_yday


def _century(moment: _Moment) -> int:
    return (moment.year - 1) // 100 + 1


_SHOWN: dict[str, Callable[[_Moment, bool], str]] = {
    "YYYY": _padded(4, lambda moment: moment.year),
    "YYY": _padded(3, lambda moment: moment.year % 1000),
    "YY": _padded(2, lambda moment: moment.year % 100),
    "Y": _padded(1, lambda moment: moment.year % 10),
    "Y,YYY": lambda moment, _: f"{moment.year // 1000},{moment.year % 1000:03d}",
    "IYYY": _padded(4, lambda moment: moment.isocalendar()[0]),
    "IYY": _padded(3, lambda moment: moment.isocalendar()[0] % 1000),
    "IY": _padded(2, lambda moment: moment.isocalendar()[0] % 100),
    "I": _padded(1, lambda moment: moment.isocalendar()[0] % 10),
    "CC": _padded(2, _century),
    "Q": _padded(1, lambda moment: (moment.month + 2) // 3),
    "MM": _padded(2, lambda moment: moment.month),
    "MONTH": _named(MONTHS, _month, "upper"),
    "Month": _named(MONTHS, _month, "title"),
    "month": _named(MONTHS, _month, "lower"),
    "MON": _short(MONTHS, _month, "upper"),
    "Mon": _short(MONTHS, _month, "title"),
    "mon": _short(MONTHS, _month, "lower"),
    "RM": lambda moment, is_filled: f"{_ROMAN[moment.month - 1]:{4 if is_filled else 0}}",
    "rm": lambda moment, is_filled: f"{_ROMAN[moment.month - 1].lower():{4 if is_filled else 0}}",
    "DAY": _named(DAYS, dt.datetime.weekday, "upper"),
    "Day": _named(DAYS, dt.datetime.weekday, "title"),
    "day": _named(DAYS, dt.datetime.weekday, "lower"),
    "DY": _short(DAYS, dt.datetime.weekday, "upper"),
    "Dy": _short(DAYS, dt.datetime.weekday, "title"),
    "dy": _short(DAYS, dt.datetime.weekday, "lower"),
    "DDD": _padded(3, _day_of_year),
    "IDDD": _padded(3, lambda moment: (moment.isocalendar()[1] - 1) * 7 + moment.isoweekday()),
    "DD": _padded(2, lambda moment: moment.day),
    "D": _padded(1, lambda moment: moment.isoweekday() % 7 + 1),
    "ID": _padded(1, dt.datetime.isoweekday),
    "WW": _padded(2, lambda moment: (_day_of_year(moment) - 1) // 7 + 1),
    "W": _padded(1, lambda moment: (moment.day - 1) // 7 + 1),
    "IW": _padded(2, lambda moment: moment.isocalendar()[1]),
    "J": _padded(1, lambda moment: moment.toordinal() + JULIAN),
    "HH24": _padded(2, lambda moment: moment.hour),
    "HH12": _padded(2, lambda moment: moment.hour % 12 or 12),
    "HH": _padded(2, lambda moment: moment.hour % 12 or 12),
    "MI": _padded(2, lambda moment: moment.minute),
    "SS": _padded(2, lambda moment: moment.second),
    "SSSS": _padded(1, lambda moment: moment.hour * 3600 + moment.minute * 60 + moment.second),
    "SSSSS": _padded(1, lambda moment: moment.hour * 3600 + moment.minute * 60 + moment.second),
    "MS": lambda moment, _: f"{moment.microsecond // 1000:03d}",
    "US": lambda moment, _: f"{moment.microsecond:06d}",
    "AM": _half("AM", "PM"),
    "PM": _half("AM", "PM"),
    "am": _half("am", "pm"),
    "pm": _half("am", "pm"),
    "A.M.": _half("A.M.", "P.M."),
    "P.M.": _half("A.M.", "P.M."),
    "a.m.": _half("a.m.", "p.m."),
    "p.m.": _half("a.m.", "p.m."),
    **dict.fromkeys(("AD", "BC"), _always("AD")),
    **dict.fromkeys(("ad", "bc"), _always("ad")),
    **dict.fromkeys(("A.D.", "B.C."), _always("A.D.")),
    **dict.fromkeys(("a.d.", "b.c."), _always("a.d.")),
    "TZ": lambda moment, _: "UTC" if moment.tzinfo else "",
    "tz": lambda moment, _: "utc" if moment.tzinfo else "",
    "TZH": _always("+00"),
    "TZM": _always("00"),
    "OF": lambda _, is_filled: "+00" if is_filled else "+0",
}
"""Key → its text, of a time in the years from 1 on; whether it is filled up."""


def _fraction(digits: int) -> Callable[[_Moment, bool], str]:
    return lambda moment, _: f"{moment.microsecond:06d}"[:digits]


_SHOWN |= {f"FF{digits}": _fraction(digits) for digits in range(1, 7)}


def shown(moment: dt.datetime, template: str) -> str:
    """A time as a template has it; with a zone, which is UTC then, or without."""
    parts = []
    for one in pieces(template):
        said = _SHOWN[one.key](moment, one.is_filled) if one.key else one.text
        parts.append(said + _suffix(said, one))
    return "".join(parts)


def _suffix(said: str, piece: Piece) -> str:
    """``TH``, which only numbers have."""
    is_number = piece.ordinal in {"TH", "th"} and piece.key[:2] not in {"TZ", "OF"} and said[-1:].isdigit()
    return ordinal(said, piece.ordinal) if is_number else ""


def ordinal(number: str, like: str) -> str:
    """What follows a number in ``1st``, in capitals where ``like`` is."""
    said = "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1:], "th")
    return said.upper() if like.isupper() else said


_CLOCK = {"HH24": 3_600_000_000, "MI": 60_000_000, "SS": 1_000_000}
_NO_SPAN = "invalid format specification for an interval value"


def shown_span(span: Span, template: str) -> str:
    """An interval as a template has it: its hours are not taken for days.

    Raises:
        TemplateError: the template asks for what an interval has not.
    """
    parts = []
    for one in pieces(template):
        said = _span_part(span, one) if one.key else one.text
        parts.append(said + _suffix(said, one))
    return "".join(parts)


def _span_part(span: Span, piece: Piece) -> str:
    key = piece.key
    size = abs(span.microseconds)
    sign = -1 if span.microseconds < 0 else 1
    hours, minutes, seconds = size // 3_600_000_000, size // 60_000_000 % 60, size // 1_000_000 % 60
    years = int(span.months / 12)
    numbers = {
        "HH24": (2, sign * hours),
        "HH12": (2, sign * (hours % 12 or 12) if hours else 12),
        "HH": (2, sign * (hours % 12 or 12) if hours else 12),
        "MI": (2, sign * minutes),
        "SS": (2, sign * seconds),
        "MS": (3, sign * (size // 1000 % 1000)),
        "US": (6, sign * (size % 1_000_000)),
        "SSSS": (1, sign * (size // 1_000_000)),
        "SSSSS": (1, sign * (size // 1_000_000)),
        "YYYY": (4, years),
        "YYY": (3, years % 1000),
        "YY": (2, years % 100),
        "Y": (1, years % 10),
        "MM": (2, span.months - 12 * years),
        "DD": (2, span.days),
        "DDD": (3, span.months * 30 + span.days),
    }
    if key in {"AM", "PM", "am", "pm", "A.M.", "P.M.", "a.m.", "p.m."}:
        return _SHOWN[key](dt.datetime(1, 1, 1, hours % 24), piece.is_filled)  # noqa: DTZ001 - its hour alone
    if key not in numbers:
        raise TemplateError("22007", _NO_SPAN)
    width, number = numbers[key]
    fill = width if piece.is_filled or key in {"MS", "US"} else 0
    if number < 0 and key not in {"DD", "DDD"}:
        fill += 1
    return f"{number:0{fill}d}"
