-- name: hold_agent
update agents set agent_id = agent_id where organization = :organization and id = :id
returning id

-- name: deactivate_versions
update agent_versions set active = 0
where organization = :organization and agent = :agent and active = 1

-- name: insert_agent_version
insert into agent_versions (id, organization, agent, number, label, notes, metadata, active, api_key, created_at_us)
select cast(:id as text), cast(:organization as bigint), cast(:agent as text), coalesce(max(v.number), 0) + 1,
  cast(:label as text), cast(:notes as text), cast(:metadata as text), cast(:active as bigint),
  cast(:api_key as text), cast(:now_us as bigint)
from agent_versions v
where v.agent = :agent
returning number

-- name: agent_versions
select id, number, label, notes, metadata, active, created_at_us
from agent_versions
where organization = :organization and agent = :agent
order by number desc
limit :limit

-- name: insert_tool_baseline
insert into tool_baselines (organization, agent, number, descriptors, reason, api_key, pinned_at_us)
select cast(:organization as bigint), cast(:agent as text), coalesce(max(b.number), 0) + 1,
  cast(:descriptors as text), cast(:reason as text), cast(:api_key as text), cast(:now_us as bigint)
from tool_baselines b
where b.agent = :agent
returning number

-- name: tool_baseline
select number, descriptors, reason, pinned_at_us
from tool_baselines
where organization = :organization and agent = :agent
order by number desc
limit 1
