-- A name without its case, for finding a part of it. Upper case, which a letter has wherever it stands, while the sigma
-- at the end of a word has a lower case of its own: pg_trgm may make lower case of what it gets, so no capital sigma is
-- left to it. By the rules of Unicode where PostgreSQL was built with ICU; otherwise by those of the database's locale,
-- of which C knows ASCII alone.
do $do$
declare
    rules text := case when to_regcollation('pg_catalog."und-x-icu"') is null then ''
                       else 'collate pg_catalog."und-x-icu"' end;
begin
    execute format($$
        create or replace function customer_group_name_folded(name text) returns text
            language sql immutable strict parallel safe
            return replace(upper(name %s), 'Σ', 'σ')
    $$, rules);
end
$do$;

-- Finds parts of three characters and more. Without it every name is read: where the extension is not installed, or the
-- server or the rights of the user do not allow it.
do $do$
declare
    place text;
begin
    create extension if not exists pg_trgm;
    select extnamespace::regnamespace::text into strict place from pg_extension where extname = 'pg_trgm';
    execute format($$
        create index if not exists customer_group_name_idx on customer_group
            using gin (customer_group_name_folded(customer_group_name) %s.gin_trgm_ops)
    $$, place);
exception
    when undefined_file or feature_not_supported or insufficient_privilege then null;
end
$do$;
