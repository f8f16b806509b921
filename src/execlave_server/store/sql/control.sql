-- name: note_agent_use
insert into key_agents (organization, api_key, agent)
select a.organization, cast(:api_key as text), a.id
from agents a
where a.organization = :organization and a.agent_id = :agent_id and a.environment = :environment
  and not exists (select 1 from key_agents k where k.api_key = :api_key and k.agent = a.id)
  and (select count(*) from key_agents k where k.api_key = :api_key) < :most

-- name: keys_that_used
select distinct api_key from key_agents where organization = :organization and agent = :agent

-- name: organization_versions
select number, version from organizations

-- name: revoked_keys
select id from api_keys where organization = :organization and revoked_at_us is not null

-- name: newest_signal
select cast(coalesce(max(number), 0) as bigint) from agent_signals where organization = :organization

-- name: signals_after
select s.number, a.id as agent, a.agent_id, a.status, a.status_reason
from agent_signals s join agents a on a.id = s.agent
where s.organization = :organization and s.number > :after
order by s.number
limit :limit
