-- Progress inside a batch, what was refused for good, and what a destination is waiting for.

alter table outbox add column accepted_count integer not null default 0;
alter table outbox add column parked_count integer not null default 0;
alter table outbox add column settled blob;  -- one bit a log, first log lowest: accepted or parked; null is none, or all when done
alter table outbox add column late_count integer not null default 0;
alter table outbox add column sent_bytes integer not null default 0;
alter table outbox add column latency_us integer;  -- of the last answer
alter table outbox add column origin text not null default 'live';  -- live, backfill or replay

update outbox set accepted_count = log_count where delivered_at_us is not null;

-- A log that a destination refused for good, kept with the answer and what was sent, until a person requeues it.
create table parked (
  id integer primary key autoincrement,
  destination integer not null,
  batch integer not null,
  position integer not null,  -- in the batch, from 0
  reason text not null,
  status integer,
  answer text,
  payload blob not null,
  parked_at_us integer not null,
  unique (destination, batch, position)
) strict;

alter table destinations add column disabled_at_us integer;
