-- name: agents_page
select id, organization, agent_id, environment, name, type, platform, status, status_reason, autonomy_level, idp_bound,
  profile, created_at_us, updated_at_us, last_seen_at_us, outcome_strictness
from agents
where organization = :organization and (:status = '' or status = :status)
  and (:search = '' or replace(lower(agent_id), lower(:search), '') <> lower(agent_id)
    or replace(lower(name), lower(:search), '') <> lower(name))
order by agent_id, environment, id
limit :limit offset :offset

-- name: agent_of_id
select id, organization, agent_id, environment, name, type, platform, status, status_reason, autonomy_level, idp_bound,
  profile, created_at_us, updated_at_us, last_seen_at_us, outcome_strictness
from agents
where organization = :organization and id = :id

-- name: unregistered_agents
select l.value as agent_id from labels l
where l.organization = :organization and l.kind = 'agent' and l.value <> ''
  and not exists (
    select 1 from agents a
    where a.organization = :organization and (a.agent_id = l.value or a.id = l.value)
  )
order by l.number desc
limit :limit

-- name: incidents_by_agent
select agent, count(*), cast(sum(violations) as bigint) from incidents
where organization = :organization and state <> 'resolved' and agent is not null
group by agent

-- name: incidents_of_agent
select id, policy_name, severity, state, violations, opened_at_us, last_seen_us from incidents
where organization = :organization and agent = :agent
order by opened_at_us desc, id desc
limit :limit
