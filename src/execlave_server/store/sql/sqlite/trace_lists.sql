-- name: listed_traces
select t.id, t.status, t.agent as agent_number, a.value as agent, e.value as environment, s.value as span_type,
  t.occurred_at_ms, t.trace_id, t.span_id, t.log, b.received_at_us
from json_each(:ids) j
cross join traces t on t.id = j.value
join batches b on b.id = t.batch
left join labels a on a.number = t.agent
left join labels e on e.number = t.environment
left join labels s on s.number = t.span_type
where t.organization = :organization
order by t.id desc

-- name: timeline_spans
select t.id, t.organization, t.batch, t.bucket = t.id >> 14 as is_placed, t.trace_key, t.span_key, t.status,
  a.value as agent, e.value as environment, s.value as span_type, t.occurred_at_ms, t.trace_id, t.span_id, t.log, t.item,
  t.salt, t.erased, b.received_at_us
from traces t
join batches b on b.id = t.batch
left join labels a on a.number = t.agent
left join labels e on e.number = t.environment
left join labels s on s.number = t.span_type
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

-- name: traces_of_parent
select distinct trace_id from traces
where id between :first and :last and +organization = :organization and instr(log, :named) > 0
limit :limit
