-- information_schema, as far as there is something to tell.
CREATE TABLE information.schemata AS
SELECT
    'stepsize' AS catalog_name, nspname AS schema_name, 'stepsize' AS schema_owner,
    NULL::VARCHAR AS default_character_set_catalog, NULL::VARCHAR AS default_character_set_schema,
    NULL::VARCHAR AS default_character_set_name, NULL::VARCHAR AS sql_path
FROM pg_namespace;

CREATE TABLE information.tables AS
SELECT
    'stepsize' AS table_catalog, 'public' AS table_schema, relname AS table_name, 'VIEW' AS table_type,
    NULL::VARCHAR AS self_referencing_column_name, NULL::VARCHAR AS reference_generation,
    NULL::VARCHAR AS user_defined_type_catalog, NULL::VARCHAR AS user_defined_type_schema,
    NULL::VARCHAR AS user_defined_type_name, 'NO' AS is_insertable_into, 'NO' AS is_typed, NULL::VARCHAR AS commit_action
FROM pg_class;

CREATE TABLE information.views AS
SELECT
    table_catalog, table_schema, table_name, definition AS view_definition, 'NONE' AS check_option,
    'NO' AS is_updatable, 'NO' AS is_insertable_into, 'NO' AS is_trigger_updatable, 'NO' AS is_trigger_deletable,
    'NO' AS is_trigger_insertable_into
FROM information.tables JOIN pg_views ON viewname = table_name;

CREATE TABLE information.columns AS
SELECT
    'stepsize' AS table_catalog,
    'public' AS table_schema,
    c.relname AS table_name,
    a.attname AS column_name,
    a.attnum::INTEGER AS ordinal_position,
    NULL::VARCHAR AS column_default,
    'YES' AS is_nullable,
    CASE WHEN t.typcategory = 'A' THEN 'ARRAY' ELSE format_type(a.atttypid, -1) END AS data_type,
    NULL::INTEGER AS character_maximum_length,
    CASE WHEN t.typname = 'text' THEN 1073741824 END::INTEGER AS character_octet_length,
    CASE t.typname WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64 WHEN 'float4' THEN 24 WHEN 'float8' THEN 53
        WHEN 'numeric' THEN (a.atttypmod - 4) >> 16 END::INTEGER AS numeric_precision,
    CASE WHEN t.typname IN ('int2', 'int4', 'int8', 'float4', 'float8') THEN 2 WHEN t.typname = 'numeric' THEN 10
        END::INTEGER AS numeric_precision_radix,
    CASE WHEN t.typname IN ('int2', 'int4', 'int8') THEN 0 WHEN t.typname = 'numeric' THEN (a.atttypmod - 4) & 65535
        END::INTEGER AS numeric_scale,
    CASE WHEN t.typcategory IN ('D', 'T') THEN CASE WHEN t.typname = 'date' THEN 0 ELSE 6 END END::INTEGER
        AS datetime_precision,
    NULL::VARCHAR AS interval_type,
    NULL::INTEGER AS interval_precision,
    NULL::VARCHAR AS character_set_catalog,
    NULL::VARCHAR AS character_set_schema,
    NULL::VARCHAR AS character_set_name,
    NULL::VARCHAR AS collation_catalog,
    NULL::VARCHAR AS collation_schema,
    NULL::VARCHAR AS collation_name,
    NULL::VARCHAR AS domain_catalog,
    NULL::VARCHAR AS domain_schema,
    NULL::VARCHAR AS domain_name,
    'stepsize' AS udt_catalog,
    'pg_catalog' AS udt_schema,
    t.typname AS udt_name,
    a.attnum::VARCHAR AS dtd_identifier,
    'NO' AS is_self_referencing,
    'NO' AS is_identity,
    NULL::VARCHAR AS identity_generation,
    'NEVER' AS is_generated,
    NULL::VARCHAR AS generation_expression,
    'NO' AS is_updatable
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_type AS t ON t.oid = a.atttypid;

CREATE TABLE information.table_constraints (
    constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR,
    table_schema VARCHAR, table_name VARCHAR, constraint_type VARCHAR, is_deferrable VARCHAR, initially_deferred VARCHAR
);
CREATE TABLE information.key_column_usage (
    constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR,
    table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, ordinal_position INTEGER,
    position_in_unique_constraint INTEGER
);
CREATE TABLE information.constraint_column_usage (
    table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, constraint_catalog VARCHAR,
    constraint_schema VARCHAR, constraint_name VARCHAR
);
CREATE TABLE information.referential_constraints (
    constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, unique_constraint_catalog VARCHAR,
    unique_constraint_schema VARCHAR, unique_constraint_name VARCHAR, match_option VARCHAR, update_rule VARCHAR,
    delete_rule VARCHAR
);
CREATE TABLE information.routines (
    specific_catalog VARCHAR, specific_schema VARCHAR, specific_name VARCHAR, routine_catalog VARCHAR,
    routine_schema VARCHAR, routine_name VARCHAR, routine_type VARCHAR, data_type VARCHAR
);
CREATE TABLE information.sequences (sequence_catalog VARCHAR, sequence_schema VARCHAR, sequence_name VARCHAR);
