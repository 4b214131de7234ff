-- A key without an end is valid until it is revoked. Uses are recorded once a minute.
alter table api_key add column expires_at timestamptz, add column last_used_at timestamptz;
