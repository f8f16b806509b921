-- name: next_batch
select coalesce(max(seq), 0) + 1 from sqlite_sequence where name = 'batches'

-- name: newest_trace
select max(id) from (select max(id) as id from traces union all select max(last_trace) from sweeps) as ever

-- name: insert_traces
insert into traces (id, bucket, trace_key, span_key, organization, batch, status, span_type, agent, environment,
  occurred_at_ms, trace_id, span_id, log, item, salt)
values (:id, :bucket, :trace_key, :span_key, :organization, :batch, :status, :span_type, :agent, :environment,
  :occurred_at_ms, :trace_id, :span_id, :log, :item, :salt)

-- name: recent_keys
select trace_key, span_key from traces where bucket >= :bucket

-- name: find_label
select number from labels where organization = :organization and kind = :kind and value = :value

-- name: insert_label
insert into labels (organization, kind, value) values (:organization, :kind, :value) returning number

-- name: stored_item
select organization, trace_id, span_id, item from traces
where bucket in (
    with recursive newest (bucket, left) as (
      select max(bucket), :buckets from traces
      union all
      select bucket - 1, left - 1 from newest where left > 1 and bucket > 0
    )
    select bucket from newest
  )
  and trace_key = :trace_key and span_key = :span_key
limit 1

-- name: batch_logs
select j.key, t.id - b.first_trace, t.occurred_at_ms, t.log, b.audit_seq, b.audit_hash
from json_each(:batches) j
cross join batches b on b.id = j.value
cross join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
union all
select j.key, l.position, l.occurred_at_ms, l.log, e.seq, e.hash
from json_each(:batches) j
cross join event_logs l on l.batch = j.value
left join audit_entries e on e.organization = l.organization and e.seq = l.seq

-- name: batch_logs_with_ids
select j.key, t.id - b.first_trace, t.occurred_at_ms, t.log, b.audit_seq, b.audit_hash, t.trace_id, t.span_id
from json_each(:batches) j
cross join batches b on b.id = j.value
cross join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
union all
select j.key, l.position, l.occurred_at_ms, l.log, e.seq, e.hash, null, null
from json_each(:batches) j
cross join event_logs l on l.batch = j.value
left join audit_entries e on e.organization = l.organization and e.seq = l.seq

-- name: newest_bucket
select coalesce(max(bucket), -1) from traces

-- name: trace_deliveries
select t.span_id, t.occurred_at_ms, b.received_at_us, t.batch, t.id - b.first_trace as position, d.id as destination_id,
  d.name as destination_name, x.attempts, x.settled, x.due_at_us, x.leased_at_us, x.last_status, x.last_answer,
  x.delivered_at_us, x.latency_us, x.origin, p.id as parked_id, p.reason as parked_reason, p.status as parked_status,
  p.answer as parked_answer
from (
    select id, span_id, occurred_at_ms, batch from traces
    where bucket in (
        with recursive looked_at (bucket) as (
          select cast(:newest as bigint)
          union all
          select bucket - 1 from looked_at where bucket > :oldest
        )
        select bucket from looked_at
      )
      and trace_key = :trace_key and +organization = :organization and trace_id = :trace_id
    order by id desc
    limit :spans
  ) as t
join batches b on b.id = t.batch
left join destinations d on d.organization = :organization
left join outbox x on x.destination = d.number and x.batch = t.batch
left join parked p on p.destination = x.destination and p.batch = x.batch and p.position = t.id - b.first_trace
order by t.id desc, d.number
