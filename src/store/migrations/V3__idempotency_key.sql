-- Creates that were made under a caller's idempotency key, each written with its group. The first answer is
-- made again from the request and the id that the group got, so neither is kept beside the other.
create table idempotency_key (
    api_key_digest bytea not null,
    key text not null,
    request_digest bytea not null,
    customer_group_id uuid not null,
    created_at timestamptz not null default now(),
    constraint idempotency_key_pkey primary key (api_key_digest, key)
);

create index idempotency_key_created_at_idx on idempotency_key (created_at);
