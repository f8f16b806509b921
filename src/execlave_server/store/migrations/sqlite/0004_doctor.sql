-- What doctor holds the ledger against, and the heartbeat.

-- The numbers of the destinations that must have a ledger row for the batch, as ",1,3,": written with the batch, and by a
-- backfill. It is what makes a row that was lost different from a row that never had to be.
alter table batches add column collectors text not null default '';

update batches set collectors = coalesce((
  select ',' || string_agg(cast(d.number as text), ',') || ','
  from destinations d
  where exists (select 1 from outbox x where x.destination = d.number and x.batch = batches.id)
), '');

alter table destinations add column heartbeat integer not null default 1;
alter table destinations add column heartbeat_at_us integer;  -- the minute of the last one; claiming it is what sends it

-- Covers the sum of what waits, which the heartbeat and the metrics ask for while a backlog is long.
drop index outbox_due;
create index outbox_due on outbox (destination, due_at_us, batch, log_count, accepted_count, parked_count)
where due_at_us is not null;

create index parked_reason on parked (destination, reason);
