-- What a lake has none of, for those who look.
CREATE TABLE pg_am (oid UINTEGER, amname VARCHAR, amhandler VARCHAR, amtype VARCHAR);
CREATE TABLE pg_attrdef (oid UINTEGER, adrelid UINTEGER, adnum SMALLINT, adbin VARCHAR);
CREATE TABLE pg_index (
    indexrelid UINTEGER, indrelid UINTEGER, indnatts SMALLINT, indnkeyatts SMALLINT, indisunique BOOLEAN, indnullsnotdistinct BOOLEAN,
    indisprimary BOOLEAN, indisexclusion BOOLEAN, indimmediate BOOLEAN, indisclustered BOOLEAN, indisvalid BOOLEAN,
    indcheckxmin BOOLEAN, indisready BOOLEAN, indislive BOOLEAN, indisreplident BOOLEAN, indkey SMALLINT[],
    indcollation UINTEGER[], indclass UINTEGER[], indoption SMALLINT[], indexprs VARCHAR, indpred VARCHAR
);
CREATE TABLE pg_indexes (schemaname VARCHAR, tablename VARCHAR, indexname VARCHAR, tablespace VARCHAR, indexdef VARCHAR);
CREATE TABLE pg_constraint (
    tableoid UINTEGER, oid UINTEGER, conname VARCHAR, connamespace UINTEGER, contype VARCHAR, condeferrable BOOLEAN, condeferred BOOLEAN,
    convalidated BOOLEAN, conrelid UINTEGER, contypid UINTEGER, conindid UINTEGER, conparentid UINTEGER, confrelid UINTEGER,
    confupdtype VARCHAR, confdeltype VARCHAR, confmatchtype VARCHAR, conislocal BOOLEAN, coninhcount INTEGER,
    connoinherit BOOLEAN, conkey SMALLINT[], confkey SMALLINT[], conbin VARCHAR
);
CREATE TABLE pg_description (objoid UINTEGER, classoid UINTEGER, objsubid INTEGER, description VARCHAR);
CREATE TABLE pg_shdescription (objoid UINTEGER, classoid UINTEGER, description VARCHAR);
CREATE TABLE pg_inherits (inhrelid UINTEGER, inhparent UINTEGER, inhseqno INTEGER, inhdetachpending BOOLEAN);
CREATE TABLE pg_partitioned_table (partrelid UINTEGER, partstrat VARCHAR, partnatts SMALLINT);
CREATE TABLE pg_trigger (
    tableoid UINTEGER, oid UINTEGER, tgrelid UINTEGER, tgparentid UINTEGER, tgname VARCHAR, tgfoid UINTEGER,
    tgtype SMALLINT, tgenabled VARCHAR, tgisinternal BOOLEAN
);
CREATE TABLE pg_rewrite (tableoid UINTEGER, oid UINTEGER, rulename VARCHAR, ev_class UINTEGER, ev_type VARCHAR, ev_enabled VARCHAR);
CREATE TABLE pg_rules (schemaname VARCHAR, tablename VARCHAR, rulename VARCHAR, definition VARCHAR);
CREATE TABLE pg_policy (
    oid UINTEGER, polname VARCHAR, polrelid UINTEGER, polcmd VARCHAR, polpermissive BOOLEAN, polroles UINTEGER[],
    polqual VARCHAR, polwithcheck VARCHAR
);
CREATE TABLE pg_policies (schemaname VARCHAR, tablename VARCHAR, policyname VARCHAR);
CREATE TABLE pg_enum (oid UINTEGER, enumtypid UINTEGER, enumsortorder FLOAT, enumlabel VARCHAR);
CREATE TABLE pg_range (rngtypid UINTEGER, rngsubtype UINTEGER, rngmultitypid UINTEGER, rngcollation UINTEGER, rngsubopc UINTEGER);
CREATE TABLE pg_proc (
    oid UINTEGER, proname VARCHAR, pronamespace UINTEGER, proowner UINTEGER, prolang UINTEGER, prokind VARCHAR, proretset BOOLEAN,
    provolatile VARCHAR, proparallel VARCHAR, prosecdef BOOLEAN, pronargs SMALLINT, prorettype UINTEGER, proargtypes UINTEGER[],
    proallargtypes UINTEGER[], proargmodes VARCHAR[], proargnames VARCHAR[], prosrc VARCHAR, proargdefaults VARCHAR, proacl VARCHAR[]
);
CREATE TABLE pg_aggregate (aggfnoid UINTEGER, aggkind VARCHAR);
CREATE TABLE pg_operator (
    oid UINTEGER, oprname VARCHAR, oprnamespace UINTEGER, oprowner UINTEGER, oprkind VARCHAR, oprcanmerge BOOLEAN,
    oprcanhash BOOLEAN, oprleft UINTEGER, oprright UINTEGER, oprresult UINTEGER, oprcom UINTEGER, oprnegate UINTEGER,
    oprcode UINTEGER, oprrest UINTEGER, oprjoin UINTEGER
);
CREATE TABLE pg_cast (oid UINTEGER, castsource UINTEGER, casttarget UINTEGER, castfunc UINTEGER, castcontext VARCHAR, castmethod VARCHAR);
CREATE TABLE pg_extension (
    oid UINTEGER, extname VARCHAR, extowner UINTEGER, extnamespace UINTEGER, extrelocatable BOOLEAN, extversion VARCHAR
);
CREATE TABLE pg_available_extensions (name VARCHAR, default_version VARCHAR, installed_version VARCHAR, comment VARCHAR);
CREATE TABLE pg_sequence (
    seqrelid UINTEGER, seqtypid UINTEGER, seqstart BIGINT, seqincrement BIGINT, seqmax BIGINT, seqmin BIGINT,
    seqcache BIGINT, seqcycle BOOLEAN
);
CREATE TABLE pg_sequences (schemaname VARCHAR, sequencename VARCHAR);
CREATE TABLE pg_depend (
    classid UINTEGER, objid UINTEGER, objsubid INTEGER, refclassid UINTEGER, refobjid UINTEGER, refobjsubid INTEGER, deptype VARCHAR
);
CREATE TABLE pg_publication (
    oid UINTEGER, pubname VARCHAR, pubowner UINTEGER, puballtables BOOLEAN, pubinsert BOOLEAN, pubupdate BOOLEAN,
    pubdelete BOOLEAN, pubtruncate BOOLEAN, pubviaroot BOOLEAN
);
CREATE TABLE pg_subscription (
    oid UINTEGER, subdbid UINTEGER, subname VARCHAR, subowner UINTEGER, subenabled BOOLEAN, subbinary BOOLEAN, substream VARCHAR,
    subtwophasestate VARCHAR, subdisableonerr BOOLEAN, subpasswordrequired BOOLEAN, subrunasowner BOOLEAN,
    suborigin VARCHAR, subslotname VARCHAR, subsynccommit VARCHAR, subpublications VARCHAR[], subconninfo VARCHAR,
    subskiplsn VARCHAR
);
CREATE TABLE pg_publication_rel (oid UINTEGER, prpubid UINTEGER, prrelid UINTEGER, prqual VARCHAR, prattrs SMALLINT[]);
CREATE TABLE pg_publication_namespace (oid UINTEGER, pnpubid UINTEGER, pnnspid UINTEGER);
CREATE TABLE pg_statistic_ext (oid UINTEGER, stxrelid UINTEGER, stxname VARCHAR, stxnamespace UINTEGER, stxkind VARCHAR[], stxstattarget INTEGER);
CREATE TABLE pg_foreign_server (
    oid UINTEGER, srvname VARCHAR, srvowner UINTEGER, srvfdw UINTEGER, srvtype VARCHAR, srvversion VARCHAR, srvacl VARCHAR[],
    srvoptions VARCHAR[]
);
CREATE TABLE pg_user_mappings (
    umid UINTEGER, srvid UINTEGER, srvname VARCHAR, umuser UINTEGER, usename VARCHAR, umoptions VARCHAR[]
);
CREATE TABLE pg_foreign_table (ftrelid UINTEGER, ftserver UINTEGER, ftoptions VARCHAR[]);
CREATE TABLE pg_foreign_data_wrapper (
    oid UINTEGER, fdwname VARCHAR, fdwowner UINTEGER, fdwhandler UINTEGER, fdwvalidator UINTEGER, fdwacl VARCHAR[],
    fdwoptions VARCHAR[]
);
CREATE TABLE pg_auth_members (roleid UINTEGER, member UINTEGER, grantor UINTEGER, admin_option BOOLEAN);
CREATE TABLE pg_db_role_setting (setdatabase UINTEGER, setrole UINTEGER, setconfig VARCHAR[]);
CREATE TABLE pg_default_acl (oid UINTEGER, defaclrole UINTEGER, defaclnamespace UINTEGER, defaclobjtype VARCHAR, defaclacl VARCHAR[]);
CREATE TABLE pg_event_trigger (
    oid UINTEGER, evtname VARCHAR, evtevent VARCHAR, evtowner UINTEGER, evtfoid UINTEGER, evtenabled VARCHAR, evttags VARCHAR[]
);
CREATE TABLE pg_locks (locktype VARCHAR, database UINTEGER, relation UINTEGER, pid INTEGER, mode VARCHAR, granted BOOLEAN);
CREATE TABLE pg_prepared_xacts (transaction UINTEGER, gid VARCHAR, prepared TIMESTAMPTZ, owner VARCHAR, database VARCHAR);
CREATE TABLE pg_tables (
    schemaname VARCHAR, tablename VARCHAR, tableowner VARCHAR, tablespace VARCHAR, hasindexes BOOLEAN, hasrules BOOLEAN,
    hastriggers BOOLEAN, rowsecurity BOOLEAN
);
CREATE TABLE pg_matviews (schemaname VARCHAR, matviewname VARCHAR, matviewowner VARCHAR, definition VARCHAR);
CREATE TABLE pg_stat_user_tables (relid UINTEGER, schemaname VARCHAR, relname VARCHAR, n_live_tup BIGINT, n_dead_tup BIGINT);
CREATE TABLE pg_statio_user_tables (relid UINTEGER, schemaname VARCHAR, relname VARCHAR);
CREATE TABLE pg_stat_activity (
    datid UINTEGER, datname VARCHAR, pid INTEGER, usesysid UINTEGER, usename VARCHAR, application_name VARCHAR,
    client_addr VARCHAR, backend_start TIMESTAMPTZ, query_start TIMESTAMPTZ, state VARCHAR, query VARCHAR
);
CREATE TABLE pg_timezone_names (name VARCHAR, abbrev VARCHAR, utc_offset INTERVAL, is_dst BOOLEAN);
CREATE TABLE pg_ts_config (oid UINTEGER, cfgname VARCHAR, cfgnamespace UINTEGER, cfgowner UINTEGER, cfgparser UINTEGER);
CREATE TABLE pg_ts_dict (
    oid UINTEGER, dictname VARCHAR, dictnamespace UINTEGER, dictowner UINTEGER, dicttemplate UINTEGER, dictinitoption VARCHAR
);
CREATE TABLE pg_ts_parser (oid UINTEGER, prsname VARCHAR, prsnamespace UINTEGER);
CREATE TABLE pg_ts_template (oid UINTEGER, tmplname VARCHAR, tmplnamespace UINTEGER);
CREATE TABLE pg_largeobject_metadata (oid UINTEGER, lomowner UINTEGER, lomacl VARCHAR[]);
CREATE TABLE pg_conversion (
    oid UINTEGER, conname VARCHAR, connamespace UINTEGER, conowner UINTEGER, conforencoding INTEGER, contoencoding INTEGER,
    conproc UINTEGER, condefault BOOLEAN
);
CREATE TABLE pg_opclass (
    tableoid UINTEGER, oid UINTEGER, opcmethod UINTEGER, opcname VARCHAR, opcnamespace UINTEGER, opcowner UINTEGER, opcfamily UINTEGER,
    opcintype UINTEGER, opcdefault BOOLEAN, opckeytype UINTEGER
);
CREATE TABLE pg_opfamily (
    tableoid UINTEGER, oid UINTEGER, opfmethod UINTEGER, opfname VARCHAR, opfnamespace UINTEGER, opfowner UINTEGER
);
CREATE TABLE pg_settings (
    name VARCHAR, setting VARCHAR, unit VARCHAR, category VARCHAR, short_desc VARCHAR, context VARCHAR, vartype VARCHAR,
    source VARCHAR, boot_val VARCHAR, reset_val VARCHAR
);
