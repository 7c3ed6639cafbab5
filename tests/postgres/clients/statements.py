"""Statements that mean the same here and in Postgres, of no table: what dashboards and tools write.

`test_meaning` holds them to what is written beside them, and, where a PostgreSQL is installed, to what it answers.
"""

from __future__ import annotations

# ruff: noqa: E501 - a statement a line
SAME = (
    # to_char and its like
    "select to_char(timestamp '2026-11-22 13:04:05.678901', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS')",
    "select to_char(timestamp '2026-11-22 13:04:05.678901', 'Dy, FMDD Month YYYY FMHH12:MI am, Q IYYY-IW DDDth J US')",
    "select to_char(timestamptz '2026-11-22 13:04:05+00', 'HH24 TZ OF'), to_char(date '2026-11-02', 'Day|MON|D ID WW W CC RM')",
    "select to_char(interval '1 month 26 hours 3 minutes', 'MM DD HH24:MI:SS'), to_char(null::timestamp, 'YYYY')",
    "select to_char(1234567.891, 'FM999,999,999.00'), to_char(-12, '999'), to_char(12, '000'), to_char(0.5, 'FM990.00%')",
    "select to_char(485, 'RN'), to_char(12345, '99G999D9'), to_char(-5, '9MI'), to_char(5, 'S99'), to_char(-3, '99PR')",
    "select to_char(12, 'FM99th'), to_char(100, '99'), to_char(12.5::float8, '9.9EEEE'), to_char(0, 'FM9.9')",
    "select to_date('22 Nov 2026', 'DD Mon YYYY'), to_date('20261122', 'YYYYMMDD'), to_date('2026-326', 'YYYY-DDD')",
    "select to_timestamp('2026-11-22 01:04:05.5 pm', 'YYYY-MM-DD HH12:MI:SS.MS am'), to_timestamp(1700000000.5)",
    "select to_date('2026-13-01', 'YYYY-MM-DD')",
    "select to_date('x', 'YYYY')",
    "select to_char(1, '9.9.9')",
    # times
    "select make_interval(hours => 3), make_interval(1, 2, 3, 4, 5, 6, 7.5), make_interval(days := 10)",
    "select make_timestamptz(2026, 11, 22, 1, 2, 3.5), make_timestamptz(2026, 11, 22, 1, 2, 3.5, 'Europe/Berlin')",
    "select date_trunc('day', timestamptz '2026-11-22 23:30:00+00', 'Europe/Berlin'), date_trunc('hour', interval '2 days 3:04')",
    "select timestamptz '2026-11-22 12:00:00+00' at time zone 'Europe/Berlin', (timestamp '2026-11-22 12:00' at time zone 'UTC')",
    "select interval '-1 day', interval '1 mon -1 day 01:00:00', '1 week'::interval, interval '1 year 2 months', interval '25 hours'",
    "select justify_hours(interval '26 hours'), justify_days(interval '35 days'), interval '1 day' * 2",
    "select generate_series(timestamp '2026-11-22', timestamp '2026-11-24', interval '1 day')",
    "select g from generate_series(timestamp '2026-11-22', timestamp '2026-11-23', interval '12 hours') g",
    "select date_bin('15 minutes', timestamp '2026-11-22 13:04:05', timestamp '2000-01-01')",
    # numbers
    "select width_bucket(5.35, 0.024, 10.06, 5), width_bucket(11, 0, 10, 5), width_bucket(-1, 0, 10, 5), width_bucket(3, array[1, 2, 4])",
    "select pg_size_pretty(1234567::bigint), pg_size_pretty(10::bigint), pg_size_pretty(12345678901), pg_size_pretty(10240::bigint)",
    "select count(*) filter (where x > 1), string_agg(x::text, ',' order by x desc), every(x > 0) from (values (1), (2), (4)) t(x)",
    "select array_agg(x order by x desc), mode() within group (order by x) from (values (1), (2), (2)) t(x)",
    "select percentile_disc(0.5) within group (order by x) from (values (1), (2), (4)) t(x)",
    # texts
    "select encode('\\x00ff'::bytea, 'hex'), encode('\\x00ff'::bytea, 'base64'), decode('00ff', 'hex'), decode('AP8=', 'base64')",
    "select '\\xDEADbeef'::bytea, length('\\x00ff'::bytea), cast('a\\\\b\\001' as bytea), bytea '\\x01'",
    "select 'abc' ~ 'b', 'abc' ~* 'B', 'abc' !~ 'x', 'abc' !~* 'B', 'a' || 'b' ~ 'ab'",
    "select 'abc' similar to '(a|b)%', 'a.c' similar to 'a_c', 'abc' similar to 'a.c'",
    "select substring('foobar' from 'o(.)b'), substring('foobar' from 'x'), substring('abcdef' from 2 for 3)::text",
    "select regexp_match('foobarbequebaz', '(bar)(beque)'), (regexp_match('abc123', '[0-9]+'))[1], regexp_match('a', 'b')",
    "select format('%s is %I and %L, 100%%', 'a', 'B c', 'd''e'), format('%2$s %1$s', 'a', 'b')",
    "select initcap('hello wORLD'), rpad('a', 3), lpad('a', 3), to_hex(255), octet_length('ä'), bit_length('a')",
    "select array_to_string(array[1, null, 3], ',', '*'), array_to_string(array[1, null, 3], ',')",
    "select '{\"a\": {\"b\": [1, 2]}}'::json #>> '{a,b,1}', '{\"a\": 1}'::jsonb ? 'a', '{\"a\": 1}'::jsonb ? 'b'",
    "select json_typeof('1'), json_typeof('[]'), json_typeof('null'), jsonb_typeof('\"a\"'), json_typeof(null)",
    "select value from json_array_elements_text('[1, \"a\"]') order by 1",
    "select e.value from json_array_elements('[1, 2]') e order by e.value::text",
    # lists in texts
    "select 1 = any('{1,2}'), 'a' = any(('{\"a\",\"b c\",NULL}')), 3 <> all('{1,2}'), '{1,2}'::int[]",
    # names of columns
    "select max(count) from (select count(*) from (values (1), (1), (2)) t(x) group by x) q",
    "with w as (select date_trunc('day', t), count(*) from (values (timestamp '2026-01-01 10:00')) v(t) group by 1) select date_trunc, count from w",
    "select true, array[1, 2], (array[1, 2])[1], uuid '11111111-2222-3333-4444-555555555555', date '2026-01-01', 1 + 1, null",
    "select 1::int4 + 1, 'a'::text = 'a', 1.5::numeric(4, 2), '1'::int, cast('a' as text), 2 = any(array[1, 2])",
    # what is refused
    "select 1 / 0",
    "select 'x'::int",
    "select nothing_here",
    "select * from nothing_here",
    "select nothing_here(1)",
    "select current_setting('nothing_here')",
    "selec 1",
)
