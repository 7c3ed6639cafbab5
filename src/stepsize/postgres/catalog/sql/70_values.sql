-- Functions of values, as dashboards and tools call them. Those that begin with a line are what the rewrites of
-- `functions` call, or are made by `stepsize.postgres.templates`.
CREATE MACRO to_char(said TIMESTAMP, template) AS _to_char_timestamp(said, template),
    (said TIMESTAMPTZ, template) AS _to_char_timestamptz(said::TIMESTAMP, template),
    (said DATE, template) AS _to_char_timestamptz(said::TIMESTAMP, template),
    (said INTERVAL, template) AS _to_char_interval(said, template),
    (said BIGINT, template) AS _to_char_number(said::VARCHAR, template),
    (said HUGEINT, template) AS _to_char_number(said::VARCHAR, template),
    (said DECIMAL(38, 9), template) AS _to_char_number(said::VARCHAR, template),
    (said DOUBLE, template) AS _to_char_number(said::VARCHAR, template);
CREATE MACRO to_date(said, template) AS _to_instant(said, template)::TIMESTAMP::DATE;
CREATE MACRO _to_timestamp(said, template) AS _to_instant(said, template)::TIMESTAMPTZ;
CREATE MACRO to_number(said, template) AS _to_number(said, template)::DECIMAL(38, 9);

CREATE MACRO _encode(said, form) AS
    CASE lower(form) WHEN 'hex' THEN lower(hex(said::BLOB)) WHEN 'base64' THEN regexp_replace(to_base64(said::BLOB), '(.{76})', '\1' || chr(10), 'g')
        WHEN 'escape' THEN replace(replace(said::VARCHAR, '\x5C', '\\'), '\x', '\x') ELSE error('unrecognized encoding: "' || form || '"') END;
CREATE MACRO _decode(said, form) AS
    CASE lower(form) WHEN 'hex' THEN unhex(regexp_replace(said, '\s', '', 'g')) WHEN 'base64' THEN from_base64(regexp_replace(said, '\s', '', 'g'))
        ELSE error('unrecognized encoding: "' || form || '"') END;
CREATE MACRO _length(said VARCHAR) AS length(said)::INTEGER,
    (said BLOB) AS octet_length(said)::INTEGER, (said) AS length(said);
CREATE MACRO _octet_length(said VARCHAR) AS strlen(said)::INTEGER, (said BLOB) AS octet_length(said)::INTEGER;
CREATE MACRO _bit_length(said VARCHAR) AS strlen(said)::INTEGER * 8,
    (said BLOB) AS octet_length(said)::INTEGER * 8;
CREATE MACRO _to_hex(number BIGINT) AS lower(to_hex(number));
CREATE MACRO initcap(said) AS
    array_to_string(list_transform(
        regexp_extract_all(lower(said), '[\pL\pN]+|[^\pL\pN]+'), lambda part: upper(part[1]) || part[2:]
    ), '');
CREATE MACRO _lpad(said, width) AS lpad(said, width::INTEGER, ' ');
CREATE MACRO _rpad(said, width) AS rpad(said, width::INTEGER, ' ');
CREATE MACRO regexp_count(said, pattern) AS len(regexp_extract_all(said, pattern))::INTEGER;
CREATE MACRO _array_to_string(items, separator, missing) AS
    array_to_string(list_transform(items, lambda one: coalesce(one::VARCHAR, missing)), separator);

CREATE MACRO make_interval(years := 0, months := 0, weeks := 0, days := 0, hours := 0, mins := 0, secs := 0) AS
    to_years(years::INTEGER) + to_months(months::INTEGER) + to_days((weeks * 7 + days)::INTEGER) + to_hours(hours::BIGINT)
    + to_minutes(mins::BIGINT) + to_microseconds((secs * 1000000)::BIGINT);
CREATE MACRO _span_us(span) AS
    extract(hour FROM span) * 3600000000 + extract(minute FROM span) * 60000000 + extract(microsecond FROM span);
CREATE MACRO justify_hours(span INTERVAL) AS
    span - to_microseconds(_span_us(span)) + to_days((_span_us(span) // 86400000000)::INTEGER)
    + to_microseconds(_span_us(span) % 86400000000);
CREATE MACRO justify_days(span INTERVAL) AS
    span - to_days(extract(day FROM span)::INTEGER) + to_months((extract(day FROM span) // 30)::INTEGER)
    + to_days((extract(day FROM span) % 30)::INTEGER);
CREATE MACRO _date_trunc(part, instant TIMESTAMPTZ, zone) AS timezone(zone, date_trunc(part, timezone(zone, instant)));
CREATE MACRO _seconds(said) AS extract(microsecond FROM said) / 1e6;
CREATE MACRO _milliseconds(said) AS extract(microsecond FROM said) / 1e3;
CREATE MACRO _make_timestamptz(year, month, day, hour, min, sec) AS make_timestamp(year, month, day, hour, min, sec)::TIMESTAMPTZ,
    (year, month, day, hour, min, sec, zone) AS timezone(zone, make_timestamp(year, month, day, hour, min, sec));

CREATE MACRO width_bucket(operand, low, high, buckets) AS (
    CASE
        WHEN low < high AND operand < low OR low > high AND operand > low THEN 0
        WHEN low < high AND operand >= high OR low > high AND operand <= high THEN buckets + 1
        WHEN low = high THEN error('lower bound cannot equal upper bound')
        ELSE floor((operand - low)::DOUBLE * buckets / (high - low)::DOUBLE) + 1
    END
)::INTEGER,
    (operand, thresholds) AS len(list_filter(thresholds, lambda one: one <= operand))::INTEGER;
CREATE MACRO pg_size_pretty(bytes) AS (
    CASE
        WHEN abs(bytes) < 10240 THEN bytes::VARCHAR || ' bytes'
        WHEN abs(bytes) < 10485248 THEN _rounded(bytes, 10) || ' kB'
        WHEN abs(bytes) < 10736893952 THEN _rounded(bytes, 20) || ' MB'
        WHEN abs(bytes) < 10994579406848 THEN _rounded(bytes, 30) || ' GB'
        WHEN abs(bytes) < 11258449312612352 THEN _rounded(bytes, 40) || ' TB'
        ELSE _rounded(bytes, 50) || ' PB'
    END
);
CREATE MACRO _rounded(bytes, power) AS round(bytes::HUGEINT / (2.0 ^ power))::BIGINT::VARCHAR;
CREATE MACRO pg_typeof(value) AS coalesce(
    (SELECT any_value(_type_name) FROM _types WHERE lower(typeof(value)) IN (_type_name, _type_internal)),
    CASE
        WHEN typeof(value) = 'VARCHAR' THEN 'text' WHEN typeof(value) = 'BLOB' THEN 'bytea'
        WHEN typeof(value) = 'DOUBLE' THEN 'double precision' WHEN typeof(value) = 'FLOAT' THEN 'real'
        WHEN typeof(value) LIKE 'DECIMAL(%)' OR typeof(value) IN ('HUGEINT', 'UBIGINT', 'UHUGEINT') THEN 'numeric'
        WHEN typeof(value) = 'TIMESTAMP' THEN 'timestamp without time zone' WHEN typeof(value) = 'TIME' THEN 'time without time zone'
        WHEN typeof(value) = '"NULL"' THEN 'unknown' ELSE lower(typeof(value))
    END
);

CREATE MACRO to_jsonb(said) AS to_json(said);
CREATE MACRO _json_kind(said) AS CASE json_type(said)
    WHEN 'OBJECT' THEN 'object' WHEN 'ARRAY' THEN 'array' WHEN 'VARCHAR' THEN 'string' WHEN 'BOOLEAN' THEN 'boolean'
    WHEN 'NULL' THEN 'null' ELSE CASE WHEN said IS NOT NULL THEN 'number' END END;
CREATE MACRO json_typeof(said) AS _json_kind(said);
CREATE MACRO jsonb_typeof(said) AS _json_kind(said);
CREATE MACRO jsonb_array_length(said) AS json_array_length(said)::INTEGER;
CREATE MACRO jsonb_extract_path_text(said, named) AS json_extract_string(said, '$."' || named || '"');
CREATE MACRO json_object_keys(said) AS unnest(json_keys(said));
CREATE MACRO jsonb_object_keys(said) AS unnest(json_keys(said));
CREATE MACRO json_array_elements(said) AS unnest(json_extract(said, '$[*]'));
CREATE MACRO jsonb_array_elements(said) AS unnest(json_extract(said, '$[*]'));
CREATE MACRO json_array_elements_text(said) AS unnest(json_extract_string(said, '$[*]'));
CREATE MACRO jsonb_array_elements_text(said) AS unnest(json_extract_string(said, '$[*]'));
