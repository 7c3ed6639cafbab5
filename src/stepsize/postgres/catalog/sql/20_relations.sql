-- What there is: one database, its schemas, the views of `public` and their columns. Nothing else can be made here.
CREATE TABLE pg_namespace AS
SELECT * FROM (
    VALUES (11::UINTEGER, 'pg_catalog', 10::UINTEGER, NULL::VARCHAR, 0::UINTEGER, 2615::UINTEGER),
    (2200, 'public', 10, NULL, 0, 2615), (13000, 'information_schema', 10, NULL, 0, 2615)
) AS t (oid, nspname, nspowner, nspacl, xmin, tableoid);

CREATE TABLE pg_class AS
SELECT
    relation_oid AS oid,
    relation AS relname,
    2200::UINTEGER AS relnamespace,
    relation_oid + 100000 AS reltype,
    0::UINTEGER AS reloftype,
    10::UINTEGER AS relowner,
    0::UINTEGER AS relam,
    0::UINTEGER AS relfilenode,
    0::UINTEGER AS reltablespace,
    0::INTEGER AS relpages,
    -1::FLOAT AS reltuples,
    0::INTEGER AS relallvisible,
    0::UINTEGER AS reltoastrelid,
    false AS relhasindex,
    false AS relisshared,
    'p' AS relpersistence,
    'v' AS relkind,
    count(*)::SMALLINT AS relnatts,
    0::SMALLINT AS relchecks,
    false AS relhasrules,
    false AS relhastriggers,
    false AS relhassubclass,
    false AS relrowsecurity,
    false AS relforcerowsecurity,
    true AS relispopulated,
    'n' AS relreplident,
    false AS relispartition,
    0::UINTEGER AS relrewrite,
    0::UINTEGER AS relfrozenxid,
    0::UINTEGER AS relminmxid,
    ['=r/stepsize'] AS relacl, -- whoever is let in may read
    NULL::VARCHAR[] AS reloptions,
    NULL::VARCHAR AS relpartbound,
    0::UINTEGER AS xmin,
    1259::UINTEGER AS tableoid
FROM described
GROUP BY ALL;

CREATE TABLE pg_attribute AS
SELECT
    relation_oid AS attrelid,
    d.name AS attname,
    type_oid AS atttypid,
    -1::INTEGER AS attstattarget,
    t.typlen AS attlen,
    number AS attnum,
    CASE WHEN t.typcategory = 'A' THEN 1 ELSE 0 END::INTEGER AS attndims,
    -1::INTEGER AS attcacheoff,
    modifier AS atttypmod,
    t.typbyval AS attbyval,
    t.typalign AS attalign,
    t.typstorage AS attstorage,
    '' AS attcompression,
    false AS attnotnull,
    false AS atthasdef,
    false AS atthasmissing,
    '' AS attidentity,
    '' AS attgenerated,
    false AS attisdropped,
    true AS attislocal,
    0::INTEGER AS attinhcount,
    t.typcollation AS attcollation,
    NULL::VARCHAR[] AS attacl,
    NULL::VARCHAR[] AS attoptions,
    NULL::VARCHAR[] AS attfdwoptions,
    NULL::VARCHAR AS attmissingval
FROM described AS d
JOIN pg_type AS t ON t.oid = d.type_oid;

-- What a view is made of is the lake's files; what is said of it names the columns.
CREATE TABLE _definitions AS
SELECT
    relation_oid AS _definition_oid,
    ' SELECT ' || string_agg(
        CASE WHEN regexp_full_match(name, '[a-z_][a-z0-9_]*') THEN name ELSE '"' || replace(name, '"', '""') || '"' END,
        ',' || chr(10) || '    ' ORDER BY number
    ) || chr(10) || '   FROM lake.' || relation || ';' AS _definition
FROM described
GROUP BY relation_oid, relation;
CREATE TABLE pg_views AS
SELECT 'public' AS schemaname, relname AS viewname, 'stepsize' AS viewowner, _definition AS definition
FROM pg_class JOIN _definitions ON _definition_oid = oid;

CREATE TABLE pg_database AS
SELECT
    5::UINTEGER AS oid, 'stepsize' AS datname, 10::UINTEGER AS datdba, 6::INTEGER AS encoding, 'c' AS datlocprovider,
    false AS datistemplate, true AS datallowconn, -1::INTEGER AS datconnlimit, 0::UINTEGER AS datfrozenxid,
    1::UINTEGER AS datminmxid, 1663::UINTEGER AS dattablespace, 'C.UTF-8' AS datcollate, 'C.UTF-8' AS datctype,
    NULL::VARCHAR AS daticulocale, NULL::VARCHAR AS daticurules, NULL::VARCHAR AS datcollversion, NULL::VARCHAR[] AS datacl,
    0::UINTEGER AS xmin;

CREATE TABLE pg_roles AS
SELECT
    'stepsize' AS rolname, false AS rolsuper, true AS rolinherit, false AS rolcreaterole, false AS rolcreatedb,
    true AS rolcanlogin, false AS rolreplication, -1::INTEGER AS rolconnlimit, '********' AS rolpassword,
    NULL::TIMESTAMPTZ AS rolvaliduntil, false AS rolbypassrls, NULL::VARCHAR[] AS rolconfig, 10::UINTEGER AS oid;
CREATE TABLE pg_authid AS SELECT * FROM pg_roles;
CREATE TABLE pg_user AS
SELECT
    rolname AS usename, oid AS usesysid, false AS usecreatedb, false AS usesuper, false AS userepl, false AS usebypassrls,
    '********' AS passwd, NULL::TIMESTAMPTZ AS valuntil, NULL::VARCHAR[] AS useconfig
FROM pg_roles;

CREATE TABLE pg_tablespace AS
SELECT 1663::UINTEGER AS oid, 'pg_default' AS spcname, 10::UINTEGER AS spcowner, NULL::VARCHAR[] AS spcacl,
    NULL::VARCHAR[] AS spcoptions;
CREATE TABLE pg_collation AS
SELECT *, NULL::VARCHAR AS colliculocale, NULL::VARCHAR AS collicurules, NULL::VARCHAR AS collversion FROM (
    VALUES (100::UINTEGER, 'default', 11::UINTEGER, 10::UINTEGER, 'd', true, -1::INTEGER, NULL::VARCHAR, NULL::VARCHAR),
    (950, 'C', 11, 10, 'c', true, -1, 'C', 'C')
) AS t (oid, collname, collnamespace, collowner, collprovider, collisdeterministic, collencoding, collcollate, collctype);
CREATE TABLE pg_language AS SELECT 2612::UINTEGER AS tableoid, 14::UINTEGER AS oid, 'sql' AS lanname, 10::UINTEGER AS lanowner, true AS lanpltrusted,
    0::UINTEGER AS lanplcallfoid, 0::UINTEGER AS laninline, 0::UINTEGER AS lanvalidator, NULL::VARCHAR[] AS lanacl;
