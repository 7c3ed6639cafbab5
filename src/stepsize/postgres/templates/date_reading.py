"""Times from texts, by a template.

What comes in: texts, templates. What goes out: times, or a :class:`~stepsize.postgres.templates.dates.TemplateError`.
Pure. In English whatever the locale is, as in the C locale.
"""

from __future__ import annotations

import datetime as dt
import re

from stepsize.postgres.templates.dates import DAYS, JULIAN, MONTHS, TemplateError, pieces

_WIDTHS = {
    **dict.fromkeys(("Y", "I", "Q", "W", "D", "ID", "FF1"), 1),
    **dict.fromkeys(("YY", "IY", "MM", "DD", "HH24", "HH12", "HH", "MI", "SS", "WW", "IW", "CC", "TZM", "FF2"), 2),
    **dict.fromkeys(("YYY", "IYY", "DDD", "MS", "TZH", "FF3"), 3),
    **dict.fromkeys(("YYYY", "IYYY", "FF4"), 4),
    **dict.fromkeys(("SSSS", "SSSSS", "FF5"), 5),
    **dict.fromkeys(("US", "FF6"), 6),
    "J": 9,
}
"""Key → how many digits it has at most, where something follows at once."""
_DIGITS = re.compile(r"[+-]?\d+")
_SKIPPED = frozenset({"D", "ID", "Q", "W", "WW", "CC"})
"""What is read, and tells nothing."""
_ISO = frozenset({"IYYY", "IYY", "IY", "I", "IW", "IDDD"})


def read(text: str, template: str) -> dt.datetime:
    """The time that a text says by a template, in UTC.

    Raises:
        TemplateError: it says none.
    """
    found: dict[str, int] = {}
    place = 0
    said = pieces(template)
    for at, one in enumerate(said):
        if one.key:
            after = said[at + 1] if at + 1 < len(said) else None
            is_fixed = after is not None and bool(after.key or after.text[:1].isdigit())
            place = _take(text, place, one.key, found, is_fixed=is_fixed and one.is_filled)
        elif one.text:
            place = _pass(text, place, one.text)
    return _moment(found)


def _pass(text: str, place: int, separators: str) -> int:
    """Behind what stands for a piece of plain text."""
    for mark in separators:
        is_separator = not mark.isalnum()
        if is_separator:
            while text[place : place + 1].isspace():
                place += 1
            if mark.isspace():
                if place < len(text) and not text[place].isalnum() and text[place] not in "+-":
                    place += 1
            elif place < len(text) and not text[place].isalnum():
                place += 1
        elif place < len(text):
            place += 1
    return place


def _take(text: str, place: int, key: str, found: dict[str, int], *, is_fixed: bool) -> int:
    while text[place : place + 1].isspace():
        place += 1
    name = key.upper()
    if name in {"MONTH", "MON"}:
        return _take_name(text, place, MONTHS, found, "MM", is_short=name == "MON")
    if name in {"DAY", "DY"}:
        return _take_name(text, place, DAYS, {}, "", is_short=name == "DY")
    if name in {"AM", "PM", "A.M.", "P.M."}:
        half = text[place : place + len(key)].upper().replace(".", "")
        if half not in {"AM", "PM"}:
            raise TemplateError("22007", f'invalid value "{text[place : place + len(key)]}" for "{key}"')
        found["half"] = 12 * (half == "PM")
        return place + len(key)
    if name in {"AD", "BC", "A.D.", "B.C.", "RM", "TZ", "OF", "Y,YYY", "IDDD"}:
        raise TemplateError("0A000", f'"{key}" is not supported where a text is read')
    return _take_number(text, place, key, found, is_fixed=is_fixed)


def _take_name(
    text: str, place: int, names: tuple[str, ...], found: dict[str, int], part: str, *, is_short: bool
) -> int:
    rest = text[place:].lower()
    for number, name in enumerate(names, 1):
        wanted = name[:3].lower() if is_short else name.lower()
        if rest.startswith(wanted):
            found[part] = number
            return place + len(wanted)
    word = re.match(r"\S*", text[place:])
    key = ("Mon" if is_short else "Month") if part else ("Dy" if is_short else "Day")
    raise TemplateError("22007", f'invalid value "{word[0] if word else ""}" for "{key}"')


def _take_number(text: str, place: int, key: str, found: dict[str, int], *, is_fixed: bool) -> int:
    width = _WIDTHS[key]
    digits = _DIGITS.match(text, place)
    if digits is None:
        if place >= len(text):
            return place  # the rest of the template has nothing to read, as in Postgres
        shown_as = text[place : place + width]
        raise TemplateError("22007", f'invalid value "{shown_as}" for "{key}"')
    said = digits[0][: width + (not digits[0][0].isdigit())] if is_fixed or key in {"MS", "US"} else digits[0]
    if key in {"MS", "US"} or key.startswith("FF"):
        found["US"] = int(said[:6].ljust(3, "0").ljust(6, "0"))
    elif key in _ISO:
        raise TemplateError("0A000", f'"{key}" is not supported where a text is read')
    elif key in {"YYY", "YY", "Y"}:
        found["YYYY"] = _near(int(said), len(said))
    elif key not in _SKIPPED:
        found[key] = int(said)
    return place + len(said)


def _near(year: int, digits: int) -> int:
    """A year of few digits: the one that is nearest to 2020."""
    if digits >= 4:
        return year
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    return year + (2000 if year < 520 else 1000)


def _moment(found: dict[str, int]) -> dt.datetime:
    out = TemplateError("22008", "date/time field value out of range")
    hour = found.get("HH24", found.get("HH12", found.get("HH", 0)))
    if "half" in found or "HH12" in found or "HH" in found:
        if not 1 <= hour <= 12 and hour:
            raise TemplateError("22007", f'hour "{hour}" is invalid for the 12-hour clock')
        if "half" in found or "HH24" not in found:
            hour = hour % 12 + found.get("half", 0)
    try:
        if "J" in found:
            day = dt.date.fromordinal(found["J"] - JULIAN)
        elif "DDD" in found and "MM" not in found:
            day = dt.date(found.get("YYYY", 1), 1, 1) + dt.timedelta(days=found["DDD"] - 1)
        else:
            day = dt.date(found.get("YYYY", 1), found.get("MM") or 1, found.get("DD") or 1)
        if "SSSS" in found or "SSSSS" in found:
            seconds = found.get("SSSS", found.get("SSSSS", 0))
            hour, found["MI"], found["SS"] = seconds // 3600, seconds // 60 % 60, seconds % 60
        clock = dt.time(hour, found.get("MI", 0), found.get("SS", 0), found.get("US", 0))
    except (ValueError, OverflowError):
        raise out from None
    zone = dt.timedelta(hours=found.get("TZH", 0), minutes=found.get("TZM", 0) * (-1 if found.get("TZH", 0) < 0 else 1))
    return dt.datetime.combine(day, clock, dt.timezone.utc) - zone
