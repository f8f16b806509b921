-- name: violating_traces
select t.id, t.status, a.value as agent, e.value as environment, t.trace_id, t.span_id, t.log, b.received_at_us
from jsonb_array_elements_text(cast(:batches as jsonb)) as wanted (batch)
join batches b on b.id = cast(wanted.batch as bigint) and b.organization = :organization and b.violations > 0
cross join lateral (
  select * from traces
  where day = b.received_at_us / 86400000000 and organization = :organization
    and id between b.first_trace and b.last_trace and status in (3, 4, 5)
  offset 0
) as t
left join labels a on a.number = t.agent
left join labels e on e.number = t.environment
order by t.id
