-- The tree is its parent edge: nothing is derived from it, so that a move rewrites one row.
-- Ids are UUIDv7, so the primary key is also the order of creation, and the creation time has no column.
create table customer_group (
    id uuid not null,
    parent_id uuid,
    updated_at timestamptz not null,
    is_group boolean not null,
    customer_group_name text not null,
    parent_customer_group text,
    default_price_list text,
    payment_terms text,
    constraint customer_group_pkey primary key (id),
    constraint customer_group_parent_id_fkey
        foreign key (parent_id) references customer_group (id) on delete restrict,
    constraint customer_group_parent_id_check check (parent_id <> id),
    constraint customer_group_name_check check (char_length(customer_group_name) between 1 and 255),
    constraint customer_group_parent_customer_group_check check (char_length(parent_customer_group) <= 255),
    constraint customer_group_default_price_list_check check (char_length(default_price_list) <= 255),
    constraint customer_group_payment_terms_check check (char_length(payment_terms) <= 255)
);

create index customer_group_parent_id_id_idx on customer_group (parent_id, id desc);

-- The exact number of customer groups is the sum over the shards. Several shards, so that writers on
-- different connections do not wait for each other's commit; always the same one within a connection, so
-- that they cannot deadlock.
create table customer_group_count (
    shard smallint primary key,
    groups bigint not null
) with (fillfactor = 20);

insert into customer_group_count (shard, groups)
select shard, 0 from generate_series(0, 63) as shard;

create function customer_group_count_change() returns trigger language plpgsql as $$
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

create trigger customer_group_count_insert
    after insert on customer_group referencing new table as changed
    for each statement execute function customer_group_count_change();

create trigger customer_group_count_delete
    after delete on customer_group referencing old table as changed
    for each statement execute function customer_group_count_change();

create function customer_group_count_reset() returns trigger language plpgsql as $$
begin
    update customer_group_count set groups = 0;
    return null;
end
$$;

create trigger customer_group_count_truncate
    after truncate on customer_group
    for each statement execute function customer_group_count_reset();
