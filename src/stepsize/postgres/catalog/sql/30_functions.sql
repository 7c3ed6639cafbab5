-- Functions of Postgres that DuckDB lacks, or has with another meaning.
CREATE MACRO version() AS 'PostgreSQL 16.4 (stepsize, on DuckDB)';
CREATE MACRO current_schemas(implicit) AS
    CASE WHEN implicit THEN ['pg_catalog', 'public'] ELSE ['public'] END;
CREATE MACRO pg_get_userbyid(number) AS 'stepsize';
CREATE MACRO pg_encoding_to_char(number) AS 'UTF8';
CREATE MACRO pg_is_in_recovery() AS false;
CREATE MACRO pg_postmaster_start_time() AS get_current_timestamp();
CREATE MACRO pg_conf_load_time() AS get_current_timestamp();
CREATE MACRO inet_server_addr() AS NULL::VARCHAR;
CREATE MACRO inet_server_port() AS NULL::INTEGER;
CREATE MACRO inet_client_addr() AS NULL::VARCHAR;
CREATE MACRO txid_current() AS 1;
CREATE MACRO pg_advisory_unlock_all() AS NULL::VARCHAR;
CREATE MACRO pg_get_expr(tree, number) AS NULL::VARCHAR, (tree, number, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_indexdef(number) AS NULL::VARCHAR, (number, place, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_constraintdef(number) AS NULL::VARCHAR, (number, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_functiondef(number) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_result(number) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_arguments(number) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_identity_arguments(number) AS NULL::VARCHAR;
CREATE MACRO pg_get_triggerdef(number) AS NULL::VARCHAR, (number, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_ruledef(number) AS NULL::VARCHAR, (number, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_serial_sequence(relation, attribute) AS NULL::VARCHAR;
CREATE MACRO pg_get_partkeydef(number) AS NULL::VARCHAR;
CREATE MACRO pg_get_statisticsobjdef_columns(number) AS NULL::VARCHAR;
CREATE MACRO pg_relation_is_publishable(number) AS false;
CREATE MACRO pg_relation_size(relation) AS 0::BIGINT, (relation, fork) AS 0::BIGINT;
CREATE MACRO pg_table_size(relation) AS 0::BIGINT;
CREATE MACRO pg_total_relation_size(relation) AS 0::BIGINT;
CREATE MACRO pg_indexes_size(relation) AS 0::BIGINT;
CREATE MACRO pg_database_size(name) AS 0::BIGINT;
CREATE MACRO pg_tablespace_location(number) AS '';
CREATE MACRO pg_table_is_visible(number) AS true;
CREATE MACRO pg_type_is_visible(number) AS true;
CREATE MACRO pg_function_is_visible(number) AS true;
CREATE MACRO pg_operator_is_visible(number) AS true;
CREATE MACRO pg_collation_is_visible(number) AS true;
CREATE MACRO obj_description(number, catalog) AS NULL::VARCHAR, (number) AS NULL::VARCHAR;
CREATE MACRO shobj_description(number, catalog) AS NULL::VARCHAR;
CREATE MACRO col_description(number, place) AS NULL::VARCHAR;
CREATE MACRO has_database_privilege(a, b) AS NOT regexp_matches(b, 'create|temp', 'i'),
    (a, b, c) AS NOT regexp_matches(c, 'create|temp', 'i');
CREATE MACRO has_schema_privilege(a, b) AS upper(b) = 'USAGE', (a, b, c) AS upper(c) = 'USAGE';
CREATE MACRO has_table_privilege(a, b) AS regexp_matches(b, 'select', 'i'), (a, b, c) AS regexp_matches(c, 'select', 'i');
CREATE MACRO has_any_column_privilege(a, b) AS regexp_matches(b, 'select', 'i'),
    (a, b, c) AS regexp_matches(c, 'select', 'i');
CREATE MACRO has_column_privilege(a, b, c) AS regexp_matches(c, 'select', 'i'),
    (a, b, c, d) AS regexp_matches(d, 'select', 'i');
CREATE MACRO has_function_privilege(a, b) AS true, (a, b, c) AS true;
CREATE MACRO has_sequence_privilege(a, b) AS false, (a, b, c) AS false;
CREATE MACRO pg_has_role(a, b) AS true, (a, b, c) AS true;
CREATE MACRO set_config(setting, value, is_local) AS value;
CREATE MACRO current_setting(setting) AS error('unrecognized configuration parameter "' || setting || '"'),
    (setting, missing_ok) AS NULL::VARCHAR;

CREATE MACRO quote_ident(named) AS
    CASE WHEN regexp_full_match(named, '[a-z_][a-z0-9_$]*') AND NOT EXISTS (
        SELECT 1 FROM duckdb_keywords() AS _keyword
        WHERE _keyword.keyword_name = named AND _keyword.keyword_category = 'reserved'
    ) THEN named ELSE '"' || replace(named, '"', '""') || '"' END;
CREATE MACRO quote_literal(value) AS '''' || replace(value::VARCHAR, '''', '''''') || '''';
CREATE MACRO quote_nullable(value) AS coalesce('''' || replace(value::VARCHAR, '''', '''''') || '''', 'NULL');
CREATE MACRO parse_ident(qualified) AS
    list_transform(
        regexp_extract_all(qualified, '"(?:[^"]|"")*"|[^.]+'),
        lambda part: CASE WHEN part[1] = '"' THEN replace(part[2:-2], '""', '"') ELSE lower(part) END
    ),
    (qualified, strict) AS list_transform(
        regexp_extract_all(qualified, '"(?:[^"]|"")*"|[^.]+'),
        lambda part: CASE WHEN part[1] = '"' THEN replace(part[2:-2], '""', '"') ELSE lower(part) END
    );
CREATE MACRO array_lower(items, dimension) AS CASE WHEN len(items) > 0 AND dimension = 1 THEN 1 END;
CREATE MACRO array_upper(items, dimension) AS CASE WHEN len(items) > 0 AND dimension = 1 THEN len(items)::INTEGER END;
CREATE MACRO array_length(items, dimension) AS CASE WHEN len(items) > 0 AND dimension = 1 THEN len(items)::INTEGER END,
    (items) AS len(items);
CREATE MACRO cardinality(items) AS len(items)::INTEGER;
CREATE MACRO generate_subscripts(items, dimension) AS unnest(generate_series(1, len(items)));
CREATE MACRO date_bin(width, instant, origin) AS time_bucket(width::INTERVAL, instant, origin);
CREATE MACRO statement_timestamp() AS get_current_timestamp();
CREATE MACRO clock_timestamp() AS get_current_timestamp();

-- Numbers and names of what is in the catalogue; see the casts to regclass and its like in `rewrites`.
-- A macro is expanded where it is called: its tables have names of their own, lest they take what it is given for theirs
-- (`c.oid`, where the client calls a table `c`).
CREATE TABLE _relations AS SELECT oid AS _relation_oid, relname AS _relation_name FROM pg_class;
CREATE TABLE _schemas AS SELECT oid AS _schema_oid, nspname AS _schema_name FROM pg_namespace;
CREATE TABLE _types AS
SELECT oid AS _type_oid, array_oid AS _type_array_oid, name AS _type_name, internal AS _type_internal FROM known_types
UNION ALL SELECT oid, NULL, typname, typname FROM pg_type WHERE typtype = 'p';
CREATE MACRO format_type(number, modifier) AS (
    SELECT any_value(
        CASE
            WHEN _type_oid = number THEN _type_name || CASE
                WHEN _type_oid = 1700 AND modifier > 4
                    THEN '(' || ((modifier - 4) >> 16) || ',' || ((modifier - 4) & 65535) || ')'
                ELSE ''
            END
            ELSE _type_name || '[]'
        END
    )
    FROM _types WHERE number IN (_type_oid, _type_array_oid)
);
CREATE MACRO relation_name(number) AS
    coalesce((SELECT any_value(_relation_name) FROM _relations WHERE _relation_oid = number::UINTEGER), number::VARCHAR);
CREATE MACRO relation_number(named) AS coalesce(
    try_cast(named AS UINTEGER),
    (SELECT any_value(_relation_oid) FROM _relations WHERE _relation_name = parse_ident(named)[-1]),
    CASE WHEN starts_with(parse_ident(named)[-1], 'pg_') THEN 1259 END, -- for what is said of the catalogue itself: nothing
    error('relation "' || named || '" does not exist')
);
CREATE MACRO to_regclass(named) AS
    (SELECT any_value(_relation_oid) FROM _relations WHERE _relation_name = parse_ident(named)[-1]);
CREATE MACRO type_name(number) AS coalesce(format_type(number::UINTEGER, -1), number::VARCHAR);
CREATE MACRO type_number(named) AS coalesce(
    try_cast(named AS UINTEGER),
    (SELECT any_value(_type_oid) FROM _types WHERE lower(named) IN (_type_name, _type_internal)),
    (SELECT any_value(_type_array_oid) FROM _types WHERE lower(named) IN (_type_name || '[]', '_' || _type_internal)),
    (SELECT any_value(_type_oid) FROM _types WHERE parse_ident(named)[-1] IN (_type_name, _type_internal)),
    (SELECT any_value(_type_array_oid) FROM _types WHERE parse_ident(named)[-1] = '_' || _type_internal),
    error('type "' || named || '" does not exist')
);
CREATE MACRO to_regtype(named) AS
    (SELECT any_value(_type_oid) FROM _types WHERE lower(named) IN (_type_name, _type_internal));
CREATE MACRO schema_name(number) AS
    coalesce((SELECT any_value(_schema_name) FROM _schemas WHERE _schema_oid = number::UINTEGER), number::VARCHAR);
CREATE MACRO schema_number(named) AS coalesce(
    try_cast(named AS UINTEGER),
    (SELECT any_value(_schema_oid) FROM _schemas WHERE _schema_name = named),
    error('schema "' || named || '" does not exist')
);
CREATE MACRO function_name(number) AS number::VARCHAR;
CREATE MACRO function_number(named) AS named; -- pg_type has names of functions
CREATE MACRO role_name(number) AS 'stepsize';
CREATE MACRO role_number(named) AS coalesce(try_cast(named AS UINTEGER), 10);
CREATE MACRO pg_get_viewdef(number) AS
    (SELECT any_value(_definition) FROM _definitions WHERE _definition_oid = relation_number(number::VARCHAR)),
    (number, pretty) AS
    (SELECT any_value(_definition) FROM _definitions WHERE _definition_oid = relation_number(number::VARCHAR));
