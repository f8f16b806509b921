-- name: next_batch
select coalesce(max(seq), 0) + 1 from sqlite_sequence where name = 'batches'

-- name: newest_trace
select max(id) from traces

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

-- name: batch_logs_with_ids
select j.key, t.id - b.first_trace, t.occurred_at_ms, t.log, b.audit_seq, b.audit_hash, t.trace_id, t.span_id
from json_each(:batches) j
cross join batches b on b.id = j.value
cross join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
