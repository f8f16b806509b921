-- name: insert_decision
insert into decisions (id, organization, api_key, agent, agent_reference, environment, outcome, violations,
  policies, approval, client, action_digest, trace_id, decided_at_us, latency_us, salt, batch, position)
values (:id, :organization, :api_key, :agent, :agent_reference, :environment, :outcome, :violations,
  :policies, :approval, :client, :action_digest, :trace_id, :decided_at_us, :latency_us, :salt, :batch, :position)

-- name: find_decision
select id, agent, agent_reference, environment, outcome, violations, action_digest, trace_id, decided_at_us, latency_us
from decisions where organization = :organization and id = :id
