-- Accents are ignored by the rules of the extension unaccent, where the server has it and the user may create it.
do $do$
begin
    create extension if not exists unaccent;
exception
    when undefined_file or feature_not_supported or insufficient_privilege then null;
end
$do$;

-- The folded form of a name, for finding a part of it: two names that differ only in case, composition (NFC, NFD) or
-- accents have the same one. It replaces customer_group_name_folded, which the previous release still uses.
--
-- Case: upper case of lower case, since some letters have only one of them, such as ẞ and ϴ. By the rules of Unicode:
-- pg_unicode_fast (PostgreSQL 18) and ICU know letters that become several, pg_c_utf8 (17) only single ones. Otherwise by
-- the locale of the database, of which C knows ASCII alone. No capital sigma is left, since pg_trgm may make lower case of
-- it, and the one at the end of a word has a lower case of its own.
--
-- Accents: unaccent() is not immutable, but ts_lexize() with its dictionary is. It returns null when nothing changes, so
-- an accent is added, which it removes.
--
-- Most names take a short way, since a search folds each name that it examines: ASCII, and letters of Latin-1 and Latin
-- Extended-A without combining accents, which are composed already. µ is a Greek letter.
do $do$
declare
    rules text;
    dictionary text;
    cased text := $$replace(upper(lower(%s %s) %2$s), 'Σ', 'σ')$$;
    latin text := $$upper(name %s) collate "C"$$;
    other text;
begin
    select 'collate pg_catalog.' || quote_ident(name) into rules
    from unnest(array['pg_unicode_fast', 'und-x-icu', 'pg_c_utf8']) with ordinality as known (name, place)
    where to_regcollation('pg_catalog.' || quote_ident(name)) is not null
    order by place limit 1;
    rules := coalesce(rules, '');

    select format('%L::regdictionary', d.oid::regdictionary) into dictionary
    from pg_extension e join pg_ts_dict d on d.dictnamespace = e.extnamespace and d.dictname = 'unaccent'
    where e.extname = 'unaccent' and ts_lexize(d.oid, U&'\0301') = array[''];

    if dictionary is null then
        latin := format(latin, rules);
        other := format('normalize(%s, nfc) collate "C"', format(cased, 'normalize(name, nfd)', rules));
    else
        latin := format($$upper(coalesce((ts_lexize(%s, name))[1], name) collate "C")$$, dictionary);
        other := format(cased, 'case when name is nfc normalized then name else normalize(name, nfc) end', rules);
        other := format($$upper((ts_lexize(%s, %s || U&'\0301'))[1] collate "C")$$, dictionary, other);
        -- A name of accents alone keeps them. The rules of unaccent may lead to a capital sigma.
        other := format($$coalesce(nullif(replace(%s, 'Σ', 'σ'), ''), normalize(name, nfc))$$, other);
    end if;
    execute format($$
        create or replace function customer_group_name_search(name text) returns text
            language sql immutable parallel safe
            return case
                when octet_length(name) = char_length(name) then upper(name collate "C")
                when name !~ '[^\u0001-\u00b4\u00b6-\u017f]' collate "C" then %s
                else %s
            end
    $$, latin, other);
end
$do$;

-- Finds parts of three characters and more. Made at once only where there are no groups: the service makes it beside its
-- calls, without blocking writes.
do $do$
declare
    place text;
begin
    select extnamespace::regnamespace::text into place from pg_extension where extname = 'pg_trgm';
    if place is not null and not exists (select from customer_group) then
        execute format($$
            create index if not exists customer_group_name_search_idx on customer_group
                using gin (customer_group_name_search(customer_group_name) %s.gin_trgm_ops)
        $$, place);
    end if;
end
$do$;
