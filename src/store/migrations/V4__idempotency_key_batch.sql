-- The groups of a batch that was created under a key, in the order of the request; the one id is that of the first
-- then. A program that knows no batches leaves them when it takes a lapsed record over, so they count for nothing
-- where the request is no batch.
alter table idempotency_key add column customer_group_ids uuid[];
