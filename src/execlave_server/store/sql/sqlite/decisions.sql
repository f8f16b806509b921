-- name: warned_decisions
-- What is named comes first: without statistics every decision of the organization would be read for it.
select d.id as id, d.agent, d.agent_reference, d.trace_id, d.violations, d.decided_at_us as decided_at_us
from json_each(:ids) claimed
cross join decisions d on d.id = claimed.value and d.organization = :organization and d.outcome = 'warned'
union
select d.id as id, d.agent, d.agent_reference, d.trace_id, d.violations, d.decided_at_us as decided_at_us
from json_each(:trace_ids) named
cross join decisions d on d.organization = :organization and d.outcome = 'warned' and d.trace_id = named.value
order by decided_at_us desc, id
limit :limit
