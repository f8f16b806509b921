-- name: violating_traces
select t.id, t.status, a.value as agent, e.value as environment, t.trace_id, t.span_id, t.log, b.received_at_us
from json_each(:batches) j
cross join batches b on b.id = j.value
cross join traces t indexed by trace_list
  on t.organization = :organization and t.id between b.first_trace and b.last_trace and t.status in (3, 4, 5)
left join labels a on a.number = t.agent
left join labels e on e.number = t.environment
where b.organization = :organization and b.violations > 0
order by t.id
