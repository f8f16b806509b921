-- A row due beyond `far_us`, later than any wait or lease ends, was written before the clock was set back: it is due.

-- name: is_due
select 1
where exists (select 1 from outbox where destination = :destination and due_at_us <= :now_us)
  or exists (select 1 from outbox where destination = :destination and due_at_us > :far_us)

-- name: lease_outbox
update outbox set due_at_us = :lease_until_us, leased_at_us = :now_us, fence = fence + 1
where destination = :destination and batch in (
  select batch
  from (
    select batch, sum(log_count) over (order by due_at_us, batch) - log_count as logs_before
    from (
      select batch, due_at_us, log_count from (
        select batch, due_at_us, log_count from outbox
        where destination = :destination and due_at_us <= :now_us
        order by due_at_us, batch
        limit :rows
      ) as past
      union all
      select batch, due_at_us, log_count from (
        select batch, due_at_us, log_count from outbox
        where destination = :destination and due_at_us > :far_us
        order by due_at_us, batch
        limit :rows
      ) as far
      order by due_at_us, batch
      limit :rows
    ) as due
  ) as counted
  where logs_before < :logs
)
returning batch, fence, attempts, log_count, committed_at_us,
  (select log_bytes from batches where id = batch) as log_bytes, accepted_count, parked_count, settled, origin

-- name: lease_oldest
update outbox set due_at_us = :lease_until_us, leased_at_us = :now_us, fence = fence + 1
where destination = :destination and batch in (
  select batch from outbox
  where destination = :destination and due_at_us is not null
    and (leased_at_us is null or due_at_us <= :now_us or due_at_us > :far_us)
  order by due_at_us, batch
  limit 1
)
returning batch, fence, attempts, log_count, committed_at_us,
  (select log_bytes from batches where id = batch) as log_bytes, accepted_count, parked_count, settled, origin

-- name: make_waiting_due
update outbox set due_at_us = :now_us
where destination = :destination and due_at_us > :now_us and leased_at_us is null

-- name: mark_done
update outbox set due_at_us = null, leased_at_us = null, attempts = attempts + 1, last_status = :status,
  last_answer = :answer, delivered_at_us = :now_us, accepted_count = :accepted, parked_count = :parked,
  settled = :settled, late_count = late_count + :late, sent_bytes = sent_bytes + :sent_bytes, latency_us = :latency_us
where destination = :destination and batch = :batch and fence = :fence

-- name: mark_progress
update outbox set accepted_count = :accepted, parked_count = :parked, settled = :settled,
  late_count = late_count + :late, sent_bytes = sent_bytes + :sent_bytes, latency_us = :latency_us
where destination = :destination and batch = :batch and fence = :fence

-- name: mark_waiting
update outbox set due_at_us = :due_at_us, leased_at_us = null, attempts = attempts + 1, last_status = :status,
  last_answer = :answer
where destination = :destination and batch = :batch and fence = :fence

-- name: park_log
insert into parked (destination, batch, position, reason, status, answer, payload, parked_at_us)
select :destination, :batch, :position, :reason, :status, :answer, :payload, :now_us
from outbox where destination = :destination and batch = :batch and fence = :fence
on conflict (destination, batch, position) do update set
  reason = excluded.reason, status = excluded.status, answer = excluded.answer, payload = excluded.payload,
  parked_at_us = excluded.parked_at_us

-- name: extend_lease
update outbox set due_at_us = :until_us
where destination = :destination and batch = :batch and fence = :fence and leased_at_us is not null

-- name: release_lease
update outbox set due_at_us = :now_us, leased_at_us = null
where destination = :destination and batch = :batch and fence = :fence

-- name: release_every_lease
update outbox set due_at_us = :now_us, leased_at_us = null, fence = fence + 1
where due_at_us is not null and leased_at_us is not null

-- name: delivery_counts
select d.id, (
    select cast(coalesce(sum(trace_count), 0) as bigint) from batches where organization = :organization
  ) as traces,
  (
    select cast(coalesce(sum(b.event_count), 0) as bigint) from batches b
    where b.organization = :organization and b.event_count > 0
      and b.collectors like '%,' || cast(d.number as text) || ',%'
  ) as events,
  cast(coalesce(sum(x.accepted_count), 0) as bigint) as delivered,
  cast(coalesce(sum(x.log_count - x.accepted_count - x.parked_count), 0) as bigint) as waiting,
  cast(coalesce(sum(x.parked_count), 0) as bigint) as parked,
  cast(coalesce(sum(x.late_count), 0) as bigint) as late,
  min(x.committed_at_us) filter (where x.due_at_us is not null) as oldest_waiting_at_us
from destinations d left join outbox x on x.destination = d.number
where d.organization = :organization
group by d.id, d.number

-- name: delivery_standing
select d.id, d.name, d.state, d.state_reason, coalesce(t.sent_bytes, 0) as sent_bytes, t.last_delivered_at_us,
  (
    select min(w.due_at_us) from outbox w
    where w.destination = d.number and w.due_at_us is not null and w.leased_at_us is null
  ) as next_attempt_at_us,
  l.attempts as last_attempts, l.last_status, l.last_answer, l.latency_us as last_latency_us
from destinations d
left join (
  select destination, cast(sum(sent_bytes) as bigint) as sent_bytes, max(delivered_at_us) as last_delivered_at_us
  from outbox group by destination
) as t on t.destination = d.number
left join outbox l on l.destination = d.number and l.batch = coalesce(
  (
    select w.batch from outbox w
    where w.destination = d.number and w.due_at_us is not null and w.attempts > 0
    order by w.due_at_us desc, w.batch desc limit 1
  ),
  (
    select w.batch from outbox w
    where w.destination = d.number and w.delivered_at_us is not null order by w.batch desc limit 1
  )
)
where d.organization = :organization
order by d.number

-- name: newest_batch
select coalesce(max(id), 0) from batches

-- name: backfill_batches
insert into outbox (destination, batch, log_count, committed_at_us, due_at_us, origin)
select :destination, b.id, b.trace_count + b.event_count, b.received_at_us, :now_us, 'backfill'
from batches b
where b.organization = :organization and b.id > :after and b.id <= :last
  and (b.trace_count > 0 or (b.event_count > 0 and exists (
    select 1 from destinations d where d.number = :destination and d.events = 1
  )))
  and b.received_at_us >= :from_us and b.received_at_us < :to_us
on conflict (destination, batch) do nothing
returning batch

-- name: oblige_batches
update batches set collectors =
  case when collectors = '' then ',' else collectors end || cast(cast(:destination as bigint) as text) || ','
where organization = :organization and id > :after and id <= :last
  and (trace_count > 0 or (event_count > 0 and exists (
    select 1 from destinations d where d.number = :destination and d.events = 1
  )))
  and received_at_us >= :from_us and received_at_us < :to_us
  and collectors not like '%,' || cast(cast(:destination as bigint) as text) || ',%'

-- name: replay_batches
update outbox set due_at_us = :now_us, leased_at_us = null, fence = fence + 1, attempts = 0, delivered_at_us = null,
  accepted_count = 0, parked_count = 0, settled = null, origin = 'replay', replay = :replay
where destination = :destination and batch > :after and batch <= :last
  and committed_at_us >= :from_us and committed_at_us < :to_us and due_at_us is null and parked_count = 0
  and (replay is null or replay <> :replay)
  and not exists (
    select 1 from batches b join destinations d on d.number = :destination
    where b.id = outbox.batch and b.event_count > 0 and d.events = 0
  )
returning batch
