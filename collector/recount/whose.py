"""Whose points are, and what their attributes say of the attempt besides its figures.

What comes in: series. What goes out: expressions. Evaluates nothing.

Runs' numbers repeat between deployments. Where everybody who says anything of project, branch, user and environment
under the same names says the same, it is one attempt; where they do not agree, there is one for each combination that
is told. The roll-up as points arrive (`rollup.identify`) can follow a sender that says more later on into one of
several such attempts; here what it said before is one of its own.
"""

from __future__ import annotations

import re

import ibis

from stepsize import model
from stepsize.collector.recount.stored import NAMES, said
from stepsize.collector.rollup.attempt import ENVIRONMENT
from stepsize.collector.rollup.bounds import MOST
from stepsize.collector.rollup.describe import FLAGS, NUMBERS, TEXTS
from stepsize.identity import THREAD_VARIABLES
from stepsize.model import Attr

_TELLING = (Attr.PROJECT, Attr.BRANCH, Attr.USER, *ENVIRONMENT)
KEY = (*NAMES, "deployment")
_STRING = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"(?:{_STRING}|\[[^\]]*\]|\{{[^}}]*\}}|[^,}}\]]+)"
# A quote inside a text has a backslash before it: a quote after a comma or brace begins a name.
_NOTES = rf'[{{,]"{re.escape(Attr.ANNOTATION_PREFIX)}((?:[^"\\]|\\.)*":{_VALUE})'
_THREADS = rf'[{{,]"{re.escape(Attr.ENVIRONMENT_PREFIX)}((?:{"|".join(THREAD_VARIABLES)})":{_STRING})'
_NAMING = "|".join(map(re.escape, (*_TELLING, *TEXTS, *NUMBERS, *FLAGS)))
_BEGINNING = "|".join(map(re.escape, (Attr.ANNOTATION_PREFIX, Attr.ENVIRONMENT_PREFIX)))
_SAYING = rf'[{{,]"(?:{_BEGINNING}|(?:{_NAMING})":)'
_ABOVE_ALL_TIMES = 2**62
_MOST_WHOLE = 2**63 - 1024


@ibis.udf.scalar.builtin(name="regexp_extract_all")  # type: ignore[untyped-decorator] # ibis has no types
def _matches(text: str, pattern: str, group: int) -> list[str]:  # type: ignore[empty-body] # the engines have one
    """What the group of each match holds; DuckDB and Spark have it under this name."""


def sources(series: ibis.Table) -> ibis.Table:
    """Each resource of an attempt, with attributes of points where they say more of it; ``last`` time of each."""
    more = ibis.ifelse(series.attributes.re_search(_SAYING), series.attributes, "{}")
    return series.group_by(*NAMES, "resource", more=more).agg(last=series["last"].max())


def disputed(found: ibis.Table) -> ibis.Table:
    """`NAMES` of attempts of which not everybody tells the same, with ``is_disputed``, which is true."""
    told = found.mutate(**{f"told{number}": told for number, told in enumerate(_told(found.resource, found.more))})
    differs = ibis.or_(*(told[f"told{n}"].min() != told[f"told{n}"].max() for n in range(len(_TELLING))))
    by_name = told.group_by(*NAMES).agg(is_disputed=differs.fill_null(False))
    return by_name.filter(by_name.is_disputed)


def with_deployment(rows: ibis.Table, dispute: ibis.Table, attributes: str) -> ibis.Table:
    """``rows`` (`NAMES`, ``resource``, a column of ``attributes``) with ``deployment``: "" but where it is disputed."""
    again = {name: f"{name}_again" for name in NAMES}
    joined = rows.left_join(dispute.rename({new: name for name, new in again.items()}), list(again.items()))
    told = ibis.literal("\x1f").join([one.fill_null("") for one in _told(joined.resource, joined[attributes])])
    whose = ibis.ifelse(joined.is_disputed.fill_null(False), told, "")
    return joined.mutate(deployment=whose).drop("is_disputed", *again.values())


def described(found: ibis.Table) -> ibis.Table:
    """By `KEY` the columns that attributes give: the newest that was told, of resources before that of points."""
    each = _attributes(found)
    columns = {
        **{column: said(each.text, name) for name, column in TEXTS.items()},
        **{column: _number(each.text, name, column) for name, column in NUMBERS.items()},
        **{column: _flag(each.text, name) for name, column in FLAGS.items()},
    }
    given = each.select(*KEY, "order", **columns)
    newest = {name: given[name].argmax(given.order, where=given[name].notnull()) for name in columns}
    rows = given.group_by(*KEY).agg(**newest)
    return rows.mutate(cloud_vendor=rows.cloud_vendor.substitute(dict(model.CLOUD_VENDORS)))


def notes(found: ibis.Table) -> ibis.Table:
    """By `KEY` the ``annotations`` as a JSON object: of each the newest."""
    return _object(found, "annotations", _NOTES)


def thread_limits(found: ibis.Table) -> ibis.Table:
    """By `KEY` the ``thread_limits`` as a JSON object: of each the newest."""
    return _object(found, "thread_limits", _THREADS)


def _object(found: ibis.Table, column: str, pattern: str) -> ibis.Table:
    """A JSON object of the members that ``pattern`` finds: ``name":value``, without the first quote."""
    each = _attributes(found)
    parts = each.select(*KEY, "order", part=_matches(each.text, pattern, 1).unnest())
    parts = parts.mutate(name=parts.part.re_extract(r'^((?:[^"\\]|\\.)*)"', 1))
    newest = parts.group_by(*KEY, "name").agg(part=parts.part.argmax(parts.order))
    whole = newest.group_by(*KEY).agg(parts=newest.part.collect())
    return whole.select(*KEY, **{column: ibis.literal('{"') + ibis.literal(',"').join(whole.parts.sort()) + "}"})


def _attributes(found: ibis.Table) -> ibis.Table:
    """Every ``text`` of attributes, with its ``order``: the newest counts, of resources before that of points."""
    of_resources = found.select(*KEY, text=found.resource, order=found["last"] + _ABOVE_ALL_TIMES)
    return of_resources.union(found.select(*KEY, text=found.more, order=found["last"]))


def _told(resource: ibis.Value, attributes: ibis.Value) -> list[ibis.Value]:
    """What is told of a deployment, by each of its names: NULL where nothing is."""
    return [ibis.coalesce(said(resource, name), said(attributes, name)).nullif("") for name in _TELLING]


def _number(text: ibis.Value, attribute: str, column: str) -> ibis.Value:
    number = said(text, attribute).try_cast("float64")
    believed = ibis.ifelse((number >= 0) & (number <= int(MOST[attribute])), number, ibis.null("float64"))
    return rounded(believed) if column.endswith("_bytes") else believed


def _flag(text: ibis.Value, attribute: str) -> ibis.Value:
    word = said(text, attribute)
    return ibis.ifelse(word.isin(("true", "false")), word == "true", ibis.null("boolean"))


def rounded(value: ibis.Value) -> ibis.Value:
    """The nearest whole number, of two the even one, as Python has it; at most what 64 bits hold."""
    bounded = ibis.ifelse(value < _MOST_WHOLE, value, ibis.ifelse(value.isnull(), ibis.null("float64"), _MOST_WHOLE))
    upper = ((bounded * 2 + 1) / 2).floor()
    is_odd_half = ((upper - bounded) * 2 == 1) & ((upper / 2).floor() * 2 != upper)
    return ibis.ifelse(is_odd_half, upper - 1, upper).cast("int64")
