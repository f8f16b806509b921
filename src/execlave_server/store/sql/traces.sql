-- name: newest_trace
select max(id) from (select max(id) as id from traces union all select max(last_trace) from sweeps) as ever

-- name: insert_batch
insert into batches (organization, first_trace, last_trace, trace_count, log_bytes, received_at_us, collectors)
values (:organization, :first_trace, :last_trace, :trace_count, :log_bytes, :now_us, coalesce((
  select ',' || string_agg(cast(number as text), ',') || ','
  from destinations
  where organization = :organization and state in ('enabled', 'held')
), ''))
returning id

-- name: insert_outbox
insert into outbox (destination, batch, log_count, committed_at_us, due_at_us)
select d.number, :batch, :log_count, :now_us, :now_us
from destinations d join batches b on b.id = :batch
where d.organization = :organization and b.collectors like '%,' || cast(d.number as text) || ',%'

-- name: insert_traces
insert into traces (id, bucket, trace_key, span_key, organization, batch, status, span_type, agent, environment,
  occurred_at_ms, trace_id, span_id, log, item)
values (:id, :bucket, :trace_key, :span_key, :organization, :batch, :status, :span_type, :agent, :environment,
  :occurred_at_ms, :trace_id, :span_id, :log, :item)

-- name: recent_keys
select trace_key, span_key from traces where bucket >= :bucket

-- name: find_label
select number from labels where organization = :organization and kind = :kind and value = :value

-- name: insert_label
insert into labels (organization, kind, value) values (:organization, :kind, :value) returning number

-- name: count_traces
select coalesce(sum(trace_count), 0) from batches where organization = :organization

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
