-- name: enter
select cast(pg_current_xact_id() as text), count(
  case when alone then cast(pg_advisory_xact_lock(1163412801, cast(number as integer)) as text)
    else cast(pg_advisory_xact_lock_shared(1163412801, cast(number as integer)) as text) end)
from unnest(cast(:organizations as bigint[]), cast(:alone as boolean[])) as known (number, alone)

-- name: hold_meters
select count(pg_advisory_xact_lock(1163412802, cast(number as integer)))
from unnest(cast(:organizations as bigint[])) as known (number)

-- name: outcome_of_transaction
select pg_xact_status(cast(cast(:transaction as text) as xid8))

-- name: has_audit_entry
select 1 from audit_entries where organization = :organization and seq = :seq and hash = :hash

-- name: leave_mark
insert into commit_marks (committer, mark) values (:committer, :mark)
on conflict (committer) do update set mark = excluded.mark, left_at = now()

-- name: has_mark
select 1 from commit_marks where committer = :committer and mark = :mark

-- name: forget_marks
delete from commit_marks where committer in (
  select committer from commit_marks where left_at < now() - interval '1 day' for update skip locked
)

-- name: clock
select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)

-- name: make_partition
select make_trace_partition(:day)

-- name: oldest_recent_trace
select received_at_us
from (
  select id, received_at_us, sum(trace_count) over (order by id desc) as newest
  from (select id, received_at_us, trace_count from batches order by id desc limit :traces) as latest
) as counted
where newest >= :traces
order by id desc
limit 1

-- name: stored_traces
select wanted.trace_key, wanted.span_key, t.organization, t.trace_id, t.span_id, t.item
from unnest(cast(:trace_keys as bigint[]), cast(:span_keys as bigint[])) as wanted (trace_key, span_key)
cross join lateral (
  select organization, trace_id, span_id, item from traces
  where day >= :oldest_day and trace_key = wanted.trace_key and span_key = wanted.span_key
  order by day desc
  limit 1
) as t

-- name: take_trace_ids
select take_trace_ids(:count)

-- name: find_labels
select l.organization, l.kind, l.value, l.number
from unnest(cast(:organizations as bigint[]), cast(:kinds as text[]), cast(:texts as text[]))
  as wanted (organization, kind, value)
join labels l on l.organization = wanted.organization and l.kind = wanted.kind and l.value = wanted.value

-- name: insert_labels
insert into labels (organization, kind, value)
select organization, kind, value
from unnest(cast(:organizations as bigint[]), cast(:kinds as text[]), cast(:texts as text[]))
  as wanted (organization, kind, value)
order by organization, kind, value
on conflict (organization, kind, value) do nothing

-- name: next_batch
select nextval('batches_id_seq')

-- name: newest_trace
select max(last_trace) from (
  (select last_trace from batches where trace_count > 0 order by id desc limit 1)
  union all
  select max(last_trace) from sweeps
) as ever

-- name: batch_logs
select wanted.place - 1, t.id - b.first_trace, t.occurred_at_ms, t.log, b.audit_seq, b.audit_hash
from jsonb_array_elements_text(cast(:batches as jsonb)) with ordinality as wanted (batch, place)
join batches b on b.id = cast(wanted.batch as bigint)
cross join lateral (
  select id, occurred_at_ms, log from traces
  where day = b.received_at_us / 86400000000 and id between b.first_trace and b.last_trace
  offset 0
) as t
union all
select wanted.place - 1, l.position, l.occurred_at_ms, l.log, e.seq, e.hash
from jsonb_array_elements_text(cast(:batches as jsonb)) with ordinality as wanted (batch, place)
join event_logs l on l.batch = cast(wanted.batch as bigint)
left join audit_entries e on e.organization = l.organization and e.seq = l.seq

-- name: batch_logs_with_ids
select wanted.place - 1, t.id - b.first_trace, t.occurred_at_ms, t.log, b.audit_seq, b.audit_hash, t.trace_id, t.span_id
from jsonb_array_elements_text(cast(:batches as jsonb)) with ordinality as wanted (batch, place)
join batches b on b.id = cast(wanted.batch as bigint)
cross join lateral (
  select id, occurred_at_ms, log, trace_id, span_id from traces
  where day = b.received_at_us / 86400000000 and id between b.first_trace and b.last_trace
  offset 0
) as t
union all
select wanted.place - 1, l.position, l.occurred_at_ms, l.log, e.seq, e.hash, null, null
from jsonb_array_elements_text(cast(:batches as jsonb)) with ordinality as wanted (batch, place)
join event_logs l on l.batch = cast(wanted.batch as bigint)
left join audit_entries e on e.organization = l.organization and e.seq = l.seq

-- name: newest_bucket
select coalesce(max(received_at_us) / 86400000000, -1) from batches

-- name: trace_deliveries
select t.span_id, t.occurred_at_ms, b.received_at_us, t.batch, t.id - b.first_trace as position, d.id as destination_id,
  d.name as destination_name, x.attempts, x.settled, x.due_at_us, x.leased_at_us, x.last_status, x.last_answer,
  x.delivered_at_us, x.latency_us, x.origin, p.id as parked_id, p.reason as parked_reason, p.status as parked_status,
  p.answer as parked_answer
from (
    select id, span_id, occurred_at_ms, batch from traces
    where day > :oldest - 1 and day <= :newest
      and trace_key = :trace_key and organization = :organization and trace_id = :trace_id
    order by id desc
    limit :spans
  ) as t
join batches b on b.id = t.batch
left join destinations d on d.organization = :organization
left join outbox x on x.destination = d.number and x.batch = t.batch
left join parked p on p.destination = x.destination and p.batch = x.batch and p.position = t.id - b.first_trace
order by t.id desc, d.number
