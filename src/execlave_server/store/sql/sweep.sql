-- Decisions go with their batch; those of none are from before the audit chain, and go by their own time.

-- name: expired_batches
select b.id, b.received_at_us, b.trace_count, b.decision_count, b.event_count,
  (select max(d.state) from destinations d join outbox x on x.destination = d.number and x.batch = b.id
   where d.organization = b.organization and x.due_at_us is not null) as waits_for,
  (select max(x.parked_count) from destinations d join outbox x on x.destination = d.number and x.batch = b.id
   where d.organization = b.organization) as parked
from batches b
where b.organization = :organization and b.received_at_us < :before_us
  and (b.received_at_us, b.id) > (:after_us, :after)
order by b.received_at_us, b.id
limit :limit

-- name: count_expired
select count(*) from batches where received_at_us < :before_us

-- name: sweepable
select count(*)
from batches b
where b.organization = :organization
  and (b.received_at_us, b.id) >= (:from_us, :first) and (b.received_at_us, b.id) <= (:to_us, :last)
  and (:forced = 1 or not exists (
    select 1 from destinations d join outbox x on x.destination = d.number and x.batch = b.id
    where d.organization = b.organization and (x.due_at_us is not null or x.parked_count > 0)
  ))

-- name: sweep_parked
delete from parked
where (destination, batch) in (
  select d.number, b.id from batches b cross join destinations d
  where b.organization = :organization and d.organization = b.organization
    and (b.received_at_us, b.id) >= (:from_us, :first) and (b.received_at_us, b.id) <= (:to_us, :last)
)

-- name: sweep_outbox
delete from outbox
where (destination, batch) in (
  select d.number, b.id from batches b cross join destinations d
  where b.organization = :organization and d.organization = b.organization
    and (b.received_at_us, b.id) >= (:from_us, :first) and (b.received_at_us, b.id) <= (:to_us, :last)
)

-- name: sweep_traces
delete from traces
where id in (
  select t.id from batches b cross join traces t
  where b.organization = :organization
    and (b.received_at_us, b.id) >= (:from_us, :first) and (b.received_at_us, b.id) <= (:to_us, :last)
    and t.id between b.first_trace and b.last_trace and t.batch = b.id
)

-- name: sweep_decisions_of_batches
delete from decisions
where +organization = :organization and batch in (
  select id from batches
  where organization = :organization
    and (received_at_us, id) >= (:from_us, :first) and (received_at_us, id) <= (:to_us, :last)
)

-- name: sweep_event_logs
delete from event_logs
where organization = :organization and batch in (
  select id from batches
  where organization = :organization
    and (received_at_us, id) >= (:from_us, :first) and (received_at_us, id) <= (:to_us, :last)
)

-- name: record_sweep
insert into sweeps (sweep, organization, first_batch, last_batch, batches, traces, decisions, last_trace,
  received_from_us, received_to_us, forced, swept_at_us)
select :sweep, :organization, :range, :last, count(*), sum(trace_count), sum(decision_count), max(last_trace),
  min(received_at_us), max(received_at_us), :forced, :now_us
from batches
where organization = :organization
  and (received_at_us, id) >= (:from_us, :first) and (received_at_us, id) <= (:to_us, :last)
on conflict (sweep, organization, first_batch) do update set
  last_batch = excluded.last_batch,
  batches = sweeps.batches + excluded.batches,
  traces = sweeps.traces + excluded.traces,
  decisions = sweeps.decisions + excluded.decisions,
  last_trace = case when sweeps.last_trace > excluded.last_trace then sweeps.last_trace else excluded.last_trace end,
  received_to_us = excluded.received_to_us,
  swept_at_us = excluded.swept_at_us

-- name: sweep_batches
delete from batches
where organization = :organization
  and (received_at_us, id) >= (:from_us, :first) and (received_at_us, id) <= (:to_us, :last)

-- name: record_swept_decisions
insert into sweeps (sweep, organization, first_batch, last_batch, batches, traces, decisions, last_trace,
  received_from_us, received_to_us, forced, swept_at_us)
select :sweep, :organization, 0, 0, 0, 0, count(*), 0, min(decided_at_us), max(decided_at_us), 0, :now_us
from (
  select decided_at_us from decisions
  where organization = :organization and decided_at_us < :before_us and batch is null
  order by decided_at_us, id
  limit :limit
) as expired
where true
having count(*) > 0
on conflict (sweep, organization, first_batch) do update set
  decisions = sweeps.decisions + excluded.decisions,
  received_to_us = excluded.received_to_us,
  swept_at_us = excluded.swept_at_us

-- name: sweep_decisions
delete from decisions
where id in (
  select id from decisions
  where organization = :organization and decided_at_us < :before_us and batch is null
  order by decided_at_us, id
  limit :limit
)
returning id

-- name: count_expired_decisions
select count(*) from decisions where organization = :organization and decided_at_us < :before_us and batch is null

-- name: drop_swept_days
select 0 where :before_us < 0
