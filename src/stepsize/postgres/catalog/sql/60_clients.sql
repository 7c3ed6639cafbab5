-- What drivers and tools ask beside.
CREATE MACRO pg_char_to_encoding(named) AS CASE WHEN lower(named) IN ('utf8', 'unicode') THEN 6 ELSE -1 END;
CREATE MACRO getdatabaseencoding() AS 'UTF8';
CREATE MACRO pg_tablespace_size(named) AS 0::BIGINT;
CREATE MACRO pg_statistics_obj_is_visible(number) AS true;
CREATE MACRO pg_conversion_is_visible(number) AS true;
CREATE MACRO pg_opclass_is_visible(number) AS true;
CREATE MACRO pg_opfamily_is_visible(number) AS true;
CREATE MACRO pg_ts_parser_is_visible(number) AS true;
CREATE MACRO pg_ts_template_is_visible(number) AS true;
CREATE MACRO pg_get_function_sqlbody(number) AS NULL::VARCHAR;
CREATE MACRO array_remove(items, item) AS list_filter(items, lambda one: one IS DISTINCT FROM item);
CREATE MACRO btrim(said) AS trim(said), (said, characters) AS trim(said, characters);
CREATE MACRO pg_get_keywords() AS TABLE
SELECT
    keyword_name AS word,
    CASE keyword_category WHEN 'reserved' THEN 'R' WHEN 'type_function' THEN 'T' WHEN 'column_name' THEN 'C' ELSE 'U' END
        AS catcode,
    keyword_category <> 'reserved' AS barelabel,
    keyword_category AS catdesc,
    NULL::VARCHAR AS baredesc
FROM duckdb_keywords();

CREATE MACRO pg_stat_get_numscans(number) AS 0::BIGINT;
CREATE MACRO pg_show_all_settings() AS TABLE SELECT * FROM pg_settings;
CREATE TABLE pg_stat_gssapi (pid INTEGER, gss_authenticated BOOLEAN, principal VARCHAR, encrypted BOOLEAN);
CREATE TABLE pg_stat_ssl (pid INTEGER, ssl BOOLEAN, version VARCHAR, cipher VARCHAR, bits INTEGER);
CREATE TABLE information.character_sets AS
SELECT
    NULL::VARCHAR AS character_set_catalog, NULL::VARCHAR AS character_set_schema, 'UTF8' AS character_set_name,
    'UCS' AS character_repertoire, 'UTF8' AS form_of_use, 'stepsize' AS default_collate_catalog,
    'pg_catalog' AS default_collate_schema, 'C' AS default_collate_name;

-- The functions that pg_type names: Npgsql and Ruby's pg tell types by them. See the rewrite of `proc.oid = type.typreceive`.
INSERT INTO pg_proc (oid, proname, pronamespace, proowner, prolang, prokind, proretset, provolatile, proparallel, prosecdef,
    pronargs, prorettype, proargtypes, prosrc)
SELECT 2400 + row_number() OVER (ORDER BY named), named, 11, 10, 14, 'f', false, 's', 's', false, 1, 2281, [2281], named
FROM (
    SELECT typinput AS named FROM pg_type UNION SELECT typoutput FROM pg_type UNION SELECT typreceive FROM pg_type
    UNION SELECT typsend FROM pg_type
);

-- The elements of an array with their places, which JDBC asks of keys.
CREATE MACRO information._pg_expandarray(items) AS
    unnest(list_transform(coalesce(items, []), lambda x, n: {'x': x, 'n': n::INTEGER}));

-- Settings that drivers read from the table rather than with SHOW.
INSERT INTO pg_settings (name, setting, category, short_desc, context, vartype, source, boot_val, reset_val)
SELECT name, setting, category, '', 'internal', vartype, 'default', setting, setting FROM (
    VALUES
    ('block_size', '8192', 'Preset Options', 'integer'), ('integer_datetimes', 'on', 'Preset Options', 'bool'),
    ('max_function_args', '100', 'Preset Options', 'integer'),
    ('max_identifier_length', '63', 'Preset Options', 'integer'), ('max_index_keys', '32', 'Preset Options', 'integer'),
    ('server_encoding', 'UTF8', 'Preset Options', 'string')
) AS t (name, setting, category, vartype);
