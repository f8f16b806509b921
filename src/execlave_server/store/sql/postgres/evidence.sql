-- name: evidence_traces
select t.id, t.organization, t.batch, (
    select count(*) from batches b where b.id = t.batch and b.received_at_us / 86400000000 = t.day
  ) as is_placed, t.trace_key, t.span_key, t.status, a.value as agent,
  e.value as environment, s.value as span_type, t.occurred_at_ms, t.trace_id, t.span_id, t.log, t.item, t.salt, t.erased
from traces t
left join labels a on a.number = t.agent and a.organization = t.organization and a.kind = 'agent'
left join labels e on e.number = t.environment and e.organization = t.organization and e.kind = 'environment'
left join labels s on s.number = t.span_type and s.organization = t.organization and s.kind = 'span_type'
where t.organization = :organization and t.id > :after and t.id <= :last
order by t.id
limit :limit

-- name: spans_of_trace
select t.id, t.organization, t.batch, (
    select count(*) from batches b where b.id = t.batch and b.received_at_us / 86400000000 = t.day
  ) as is_placed, t.trace_key, t.span_key, t.status, a.value as agent,
  e.value as environment, s.value as span_type, t.occurred_at_ms, t.trace_id, t.span_id, t.log, t.item, t.salt, t.erased
from generate_series(
    (select min(received_at_us) / 86400000000 from batches), (select max(received_at_us) / 86400000000 from batches)
  ) as days (day)
cross join lateral (
  select * from traces
  where traces.day = days.day and trace_key = :trace_key and trace_id = :trace_id and organization = :organization
  offset 0
) as t
left join labels a on a.number = t.agent and a.organization = t.organization and a.kind = 'agent'
left join labels e on e.number = t.environment and e.organization = t.organization and e.kind = 'environment'
left join labels s on s.number = t.span_type and s.organization = t.organization and s.kind = 'span_type'
order by t.id
limit :limit

-- name: batch_keys
select t.trace_key, t.span_key
from batches b
cross join lateral (
  select trace_key, span_key from traces
  where day = b.received_at_us / 86400000000 and id between b.first_trace and b.last_trace and batch = b.id
  offset 0
) as t
where b.id = :batch
