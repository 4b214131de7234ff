-- The functions, triggers and indexes of the migrations, made again where one is missing, as after the restore of a dump
-- from a server that knows collations which this one does not.

-- A name without its case, for the previous release; see V5__customer_group_name_search.sql.
do $do$
declare
    rules text := case when to_regcollation('pg_catalog."und-x-icu"') is null then ''
                       else 'collate pg_catalog."und-x-icu"' end;
begin
    if to_regprocedure('customer_group_name_folded(text)') is null then
        execute format($$
            create function customer_group_name_folded(name text) returns text
                language sql immutable strict parallel safe
                return replace(upper(name %s), 'Σ', 'σ')
        $$, rules);
    end if;
end
$do$;

create or replace function customer_group_count_change() returns trigger language plpgsql as $$
declare
    change bigint;
begin
    select count(*) into change from changed;
    if tg_op = 'DELETE' then
        change := -change;
    end if;
    if change <> 0 then
        update customer_group_count set groups = groups + change where shard = pg_backend_pid() % 64;
    end if;
    return null;
end
$$;

create or replace function customer_group_count_reset() returns trigger language plpgsql as $$
begin
    update customer_group_count set groups = 0;
    return null;
end
$$;

-- No group is created or deleted while they are counted.
lock table customer_group in exclusive mode;

create or replace trigger customer_group_count_insert
    after insert on customer_group referencing new table as changed
    for each statement execute function customer_group_count_change();

create or replace trigger customer_group_count_delete
    after delete on customer_group referencing old table as changed
    for each statement execute function customer_group_count_change();

create or replace trigger customer_group_count_truncate
    after truncate on customer_group
    for each statement execute function customer_group_count_reset();

alter table customer_group enable trigger customer_group_count_insert;
alter table customer_group enable trigger customer_group_count_delete;
alter table customer_group enable trigger customer_group_count_truncate;

update customer_group_count
set groups = case shard when 0 then (select count(*) from customer_group) else 0 end;

-- What an interrupted `create index concurrently` has left behind.
do $do$
declare
    invalid regclass;
begin
    for invalid in select indexrelid from pg_index where not indisvalid and indexrelid in (
        to_regclass('customer_group_parent_id_id_idx'), to_regclass('idempotency_key_created_at_idx'))
    loop
        execute format('drop index %s', invalid);
    end loop;
end
$do$;

create index if not exists customer_group_parent_id_id_idx on customer_group (parent_id, id desc);

create index if not exists idempotency_key_created_at_idx on idempotency_key (created_at);
