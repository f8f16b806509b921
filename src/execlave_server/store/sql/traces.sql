-- name: newest_trace
select max(id) from (select max(id) as id from traces union all select max(last_trace) from sweeps) as ever

-- name: insert_batch
insert into batches (organization, first_trace, last_trace, trace_count, log_bytes, received_at_us)
values (:organization, :first_trace, :last_trace, :trace_count, :log_bytes, :now_us)
returning id

-- name: insert_outbox
insert into outbox (destination, batch, log_count, committed_at_us, due_at_us)
select number, :batch, :log_count, :now_us, :now_us
from destinations
where organization = :organization and state in ('enabled', 'held')

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
