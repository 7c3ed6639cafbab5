-- Types by the names that Postgres gives them, for casts.
CREATE TYPE name AS VARCHAR;
CREATE TYPE oid AS UINTEGER;
CREATE TYPE xid AS UINTEGER;
CREATE TYPE cid AS UINTEGER;
CREATE TYPE jsonb AS JSON;
CREATE TYPE citext AS VARCHAR;
CREATE TYPE pg_node_tree AS VARCHAR;
CREATE TYPE information_name AS VARCHAR;
CREATE TYPE int2vector AS SMALLINT[];
CREATE TYPE oidvector AS UINTEGER[];

-- pg_type: each type that a column or parameter can have, its arrays, and one for the rows of each relation.
CREATE TABLE pg_type AS
WITH all_types AS (
    SELECT
        oid, internal AS typname, 11 AS typnamespace, size AS typlen, 'b' AS typtype, category AS typcategory,
        0 AS typrelid, 0 AS typelem, array_oid AS typarray
    FROM known_types
    UNION ALL
    SELECT array_oid, '_' || internal, 11, -1, 'b', 'A', 0, oid, 0 FROM known_types
    UNION ALL
    SELECT * FROM (
        VALUES
        (22, 'int2vector', 11, -1, 'b', 'A', 0, 21, 1006), (30, 'oidvector', 11, -1, 'b', 'A', 0, 26, 1013),
        (24, 'regproc', 11, 4, 'b', 'N', 0, 0, 1008), (2205, 'regclass', 11, 4, 'b', 'N', 0, 0, 2210),
        (2206, 'regtype', 11, 4, 'b', 'N', 0, 0, 2211), (705, 'unknown', 11, -2, 'p', 'X', 0, 0, 0),
        (2278, 'void', 11, 4, 'p', 'P', 0, 0, 0), (2249, 'record', 11, -1, 'p', 'P', 0, 0, 2287),
        (2276, 'any', 11, 4, 'p', 'P', 0, 0, 0), (2277, 'anyarray', 11, -1, 'p', 'P', 0, 0, 0),
        (2275, 'cstring', 11, -2, 'p', 'P', 0, 0, 1263), (2279, 'trigger', 11, 4, 'p', 'P', 0, 0, 0),
        (2281, 'internal', 11, 8, 'p', 'P', 0, 0, 0)
    )
    UNION ALL
    SELECT DISTINCT relation_oid + 100000, relation, 2200, -1, 'c', 'C', relation_oid, 0, 0 FROM described
)
SELECT
    oid::UINTEGER AS oid,
    typname::VARCHAR AS typname,
    typnamespace::UINTEGER AS typnamespace,
    10::UINTEGER AS typowner,
    typlen::SMALLINT AS typlen,
    typlen BETWEEN 1 AND 8 AS typbyval,
    typtype::VARCHAR AS typtype,
    typcategory::VARCHAR AS typcategory,
    typname IN ('text', 'float8', 'oid', 'timestamptz', 'bool', 'interval') AS typispreferred,
    true AS typisdefined,
    ',' AS typdelim,
    typrelid::UINTEGER AS typrelid,
    typelem::UINTEGER AS typelem,
    typarray::UINTEGER AS typarray,
    CASE WHEN typcategory = 'A' AND typname[1] = '_' THEN 'array_in' ELSE typname || _joint || 'in' END AS typinput,
    CASE WHEN typcategory = 'A' AND typname[1] = '_' THEN 'array_out' ELSE typname || _joint || 'out' END AS typoutput,
    CASE WHEN typcategory = 'A' AND typname[1] = '_' THEN 'array_recv' ELSE typname || _joint || 'recv' END AS typreceive,
    CASE WHEN typcategory = 'A' AND typname[1] = '_' THEN 'array_send' ELSE typname || _joint || 'send' END AS typsend,
    '-' AS typmodin,
    '-' AS typmodout,
    '-' AS typanalyze,
    'i' AS typalign,
    CASE WHEN typlen = -1 THEN 'x' ELSE 'p' END AS typstorage,
    false AS typnotnull,
    0::UINTEGER AS typbasetype,
    -1::INTEGER AS typtypmod,
    0::INTEGER AS typndims,
    CASE WHEN typcategory = 'S' THEN 100 ELSE 0 END::UINTEGER AS typcollation,
    NULL::VARCHAR AS typdefault,
    NULL::VARCHAR AS typacl,
    1247::UINTEGER AS tableoid
FROM (
    SELECT *, -- functions of types that Postgres got later have a line in their names
        CASE WHEN typname IN ('json', 'jsonb', 'date', 'time', 'timestamp', 'timestamptz', 'interval', 'numeric', 'uuid')
            OR (typtype = 'p' AND typname <> 'unknown') THEN '_' ELSE '' END AS _joint
    FROM all_types
);
