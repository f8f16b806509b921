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
select j.key, t.id - b.first_trace, t.occurred_at_ms, t.log
from json_each(:batches) j
cross join batches b on b.id = j.value
cross join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id

-- name: batch_logs_with_ids
select j.key, t.id - b.first_trace, t.occurred_at_ms, t.log, t.trace_id, t.span_id
from json_each(:batches) j
cross join batches b on b.id = j.value
cross join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
