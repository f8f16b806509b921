-- name: listed_traces
select t.id, t.status, t.agent as agent_number, a.value as agent, e.value as environment, s.value as span_type,
  t.occurred_at_ms, t.trace_id, t.span_id, t.log, b.received_at_us
from jsonb_array_elements_text(cast(:ids as jsonb)) as wanted (id)
cross join lateral (
  select * from traces where traces.id = cast(wanted.id as bigint) and organization = :organization
  offset 0
) as t
join batches b on b.id = t.batch
left join labels a on a.number = t.agent
left join labels e on e.number = t.environment
left join labels s on s.number = t.span_type
order by t.id desc

-- name: timeline_spans
select t.id, t.organization, t.batch, (
    select count(*) from batches p where p.id = t.batch and p.received_at_us / 86400000000 = t.day
  ) as is_placed, t.trace_key, t.span_key, t.status, a.value as agent,
  e.value as environment, s.value as span_type, t.occurred_at_ms, t.trace_id, t.span_id, t.log, t.item, t.salt, t.erased,
  b.received_at_us
from generate_series(
    (select min(received_at_us) / 86400000000 from batches), (select max(received_at_us) / 86400000000 from batches)
  ) as days (day)
cross join lateral (
  select * from traces
  where traces.day = days.day and trace_key = :trace_key and trace_id = :trace_id and organization = :organization
  offset 0
) as t
join batches b on b.id = t.batch
left join labels a on a.number = t.agent
left join labels e on e.number = t.environment
left join labels s on s.number = t.span_type
order by t.id
limit :limit

-- name: traces_of_parent
select distinct trace_id from traces
where id between :first and :last and organization = :organization and position(cast(:named as bytea) in log) > 0
limit :limit
