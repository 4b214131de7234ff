-- Only a key's SHA-256 is kept. The creation time is inside the id, a UUIDv7.
create table api_key (
    id uuid not null,
    digest bytea not null,
    name text not null,
    scope text not null,
    mode text not null,
    revoked_at timestamptz,
    constraint api_key_pkey primary key (id),
    constraint api_key_digest_key unique (digest),
    constraint api_key_digest_check check (octet_length(digest) = 32),
    constraint api_key_scope_check check (scope in ('read', 'write')),
    constraint api_key_mode_check check (mode in ('test', 'live'))
);
