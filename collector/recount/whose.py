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
from stepsize.collector.recount.stored import MEMBER, NAMES, members, said
from stepsize.collector.rollup.attempt import ENVIRONMENT
from stepsize.collector.rollup.bounds import MOST
from stepsize.collector.rollup.describe import FLAGS, NUMBERS, TEXTS
from stepsize.identity import THREAD_VARIABLES
from stepsize.model import Attr

_TELLING = (Attr.PROJECT, Attr.BRANCH, Attr.USER, *ENVIRONMENT)
KEY = (*NAMES, "deployment")
_NAMING = "|".join(map(re.escape, (*_TELLING, *TEXTS, *NUMBERS, *FLAGS)))
_BEGINNING = "|".join(map(re.escape, (Attr.ANNOTATION_PREFIX, Attr.ENVIRONMENT_PREFIX)))
# A quote inside a text has a backslash before it: a quote after a comma or brace begins a name.
_SAYING = rf'[{{,]"(?:{_BEGINNING}|(?:{_NAMING})":)'
_ABOVE_ALL_TIMES = 2**62
_MOST_WHOLE = 2**63 - 1024


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


def objects(found: ibis.Table) -> ibis.Table:
    """By `KEY` what was said with its ``order``: ``notes`` and ``limits``, arrays as `stored.members` gives them.

    To be a stage: Spark takes apart no array that a function of its session gives in the same query.
    """
    each = _attributes(found)
    notes, limits = Attr.ANNOTATION_PREFIX, Attr.ENVIRONMENT_PREFIX
    each = each.filter(each.text.contains(f'"{notes}') | each.text.contains(f'"{limits}'))
    return each.select(*KEY, "order", notes=members(each.text, notes), limits=members(each.text, limits))


def notes(found: ibis.Table) -> ibis.Table:
    """Of :func:`objects`, by `KEY` the ``annotations`` as a JSON object: of each the newest."""
    return _object(_members(found, "notes"), "annotations")


def thread_limits(found: ibis.Table) -> ibis.Table:
    """Of :func:`objects`, by `KEY` the ``thread_limits`` as a JSON object of texts: of each the newest."""
    limits = _members(found, "limits")
    limits = limits.filter(
        limits.name.isin(THREAD_VARIABLES), ~limits.value[0].isin(("[", "{")), limits.value != "null"
    )
    as_text = ibis.literal('"') + limits.value + ibis.literal('"')
    value = ibis.ifelse(limits.value.startswith('"'), limits.value, as_text)
    return _object(limits.mutate(value=value), "thread_limits")


def _members(found: ibis.Table, column: str) -> ibis.Table:
    """By `KEY` the ``name``, ``quoted`` and ``value`` of each member of the arrays in a column, with its ``order``."""
    parts = found.select(*KEY, "order", part=found[column].unnest())
    return parts.select(*KEY, "order", **{field: parts.part[field] for field in MEMBER})


def _object(each: ibis.Table, column: str) -> ibis.Table:
    """By `KEY` a JSON object: of each member the newest value."""
    member = each.quoted + ibis.literal(":") + each.value
    newest = each.group_by(*KEY, "name").agg(member=member.argmax(each.order))
    whole = newest.group_by(*KEY).agg(members=newest.member.collect())
    return whole.select(*KEY, **{column: ibis.literal("{") + ibis.literal(",").join(whole.members.sort()) + "}"})


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
