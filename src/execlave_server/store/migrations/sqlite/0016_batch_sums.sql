-- What a batch holds in sum, written with it, so that a day's traffic is read from its batches alone.
-- Batches from before this count as traffic without errors and violations.
alter table batches add column errors integer not null default 0;  -- error or timeout
alter table batches add column violations integer not null default 0;  -- policy_blocked, limit_exceeded, flagged_for_review
