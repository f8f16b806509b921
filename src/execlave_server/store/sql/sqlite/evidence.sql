-- name: evidence_traces
select t.id, t.organization, t.batch, t.bucket = t.id >> 14 as is_placed, t.trace_key, t.span_key, t.status,
  a.value as agent, e.value as environment, s.value as span_type, t.occurred_at_ms, t.trace_id, t.span_id, t.log, t.item,
  t.salt, t.erased
from traces t
left join labels a on a.number = t.agent and a.organization = t.organization and a.kind = 'agent'
left join labels e on e.number = t.environment and e.organization = t.organization and e.kind = 'environment'
left join labels s on s.number = t.span_type and s.organization = t.organization and s.kind = 'span_type'
where t.organization = :organization and t.id > :after and t.id <= :last
order by t.id
limit :limit

-- name: spans_of_trace
select t.id, t.organization, t.batch, t.bucket = t.id >> 14 as is_placed, t.trace_key, t.span_key, t.status,
  a.value as agent, e.value as environment, s.value as span_type, t.occurred_at_ms, t.trace_id, t.span_id, t.log, t.item,
  t.salt, t.erased
from traces t
left join labels a on a.number = t.agent and a.organization = t.organization and a.kind = 'agent'
left join labels e on e.number = t.environment and e.organization = t.organization and e.kind = 'environment'
left join labels s on s.number = t.span_type and s.organization = t.organization and s.kind = 'span_type'
where t.bucket in (
    with recursive every (bucket) as (
      select max(bucket) from traces
      union all
      select bucket - 1 from every where bucket > 0
    )
    select bucket from every
  )
  and t.trace_key = :trace_key and t.trace_id = :trace_id and +t.organization = :organization
order by t.id
limit :limit

-- name: batch_keys
select t.trace_key, t.span_key
from batches b cross join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
where b.id = :batch
