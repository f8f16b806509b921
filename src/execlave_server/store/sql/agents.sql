-- name: upsert_agent
insert into agents (id, organization, agent_id, environment, name, type, platform, status, autonomy_level, profile,
  created_at_us, updated_at_us)
values (:id, :organization, :agent_id, :environment, :name, :type, :platform, 'active', :autonomy_level, :profile,
  :now_us, :now_us)
on conflict (organization, agent_id, environment) do update set
  name = excluded.name,
  type = excluded.type,
  platform = excluded.platform,
  autonomy_level = coalesce(excluded.autonomy_level, agents.autonomy_level),
  profile = excluded.profile,
  refused_level = case when excluded.autonomy_level is null then agents.refused_level end,
  updated_at_us = case when excluded.updated_at_us > agents.updated_at_us then excluded.updated_at_us
    else agents.updated_at_us + 1 end
where (agents.name, agents.type, agents.platform, agents.autonomy_level, agents.profile)
  is distinct from (excluded.name, excluded.type, excluded.platform,
    coalesce(excluded.autonomy_level, agents.autonomy_level), excluded.profile)
returning id, environment, status, autonomy_level

-- name: agents_named
-- The plus keeps each half on its own index, however large the fleet.
select id, organization, agent_id, environment, name, type, platform, status, status_reason, autonomy_level, idp_bound,
  profile, created_at_us, updated_at_us, last_seen_at_us, outcome_strictness
from agents
where (organization = :organization and agent_id = :reference) or (+organization = :organization and id = :reference)
order by created_at_us, id

-- name: refuse_level
update agents set refused_level = :level
where organization = :organization and id = :id and refused_level is distinct from :level
returning id

-- name: agent_standing
select count(*), cast(coalesce(sum(updated_at_us), 0) as bigint)
from agents
where (organization = :organization and agent_id = :reference) or (+organization = :organization and id = :reference)

-- name: agent_tier_standing
select id, autonomy_level from agents
where organization = :organization and agent_id = :agent_id and environment = :environment

-- name: search_agents
select id, organization, agent_id, environment, name, type, platform, status, status_reason, autonomy_level, idp_bound,
  profile, created_at_us, updated_at_us, last_seen_at_us, outcome_strictness
from agents
where organization = :organization
  and (:search = '' or replace(lower(agent_id), lower(:search), '') <> lower(agent_id)
    or replace(lower(name), lower(:search), '') <> lower(name))
order by (agent_id = :search) desc, agent_id, environment
limit :limit offset :offset

-- name: count_agents
select count(*) from agents
where organization = :organization
  and (:search = '' or replace(lower(agent_id), lower(:search), '') <> lower(agent_id)
    or replace(lower(name), lower(:search), '') <> lower(name))

-- name: set_agent_status
update agents set status = :status, status_reason = :reason, status_salt = :salt,
  updated_at_us = case when :now_us > updated_at_us then :now_us else updated_at_us + 1 end
where organization = :organization and id = :id
returning id

-- name: mark_agent_seen
update agents set last_seen_at_us = :now_us
where organization = :organization and id = :id
returning id

-- name: set_outcome_strictness
update agents set outcome_strictness = :strictness,
  updated_at_us = case when :now_us > updated_at_us then :now_us else updated_at_us + 1 end
where organization = :organization and id = :id
returning id

-- name: discover_agents
select id, agent_id, name, profile from agents
where organization = :organization and status = 'active'
order by agent_id, environment
limit :limit
