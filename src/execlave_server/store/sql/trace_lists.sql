-- name: label_number
select number from labels where organization = :organization and kind = :kind and value = :value

-- name: list_trace_ids
-- The window is read newest first and stops as soon as the page is full: nothing outside sorts it again.
select id from (
  select id, status, agent, environment, span_type from traces
  where organization = :organization and id < :before and id >= :after
  order by id desc
  limit :entries
) as newest
where (cast(:statuses as bigint) >> cast(status as integer)) & 1 = 1
  and (cast(:agent as bigint) is null or agent = :agent or agent = cast(:agent_also as bigint))
  and (cast(:environment as bigint) is null or environment = :environment)
  and (cast(:span_type as bigint) is null or span_type = :span_type)
limit :limit

-- name: end_of_window
select min(id), count(*) from (
  select id from traces
  where organization = :organization and id < :before and id >= :after
  order by id desc
  limit :entries
) as newest

-- name: traces_received_from
select min(first_trace) from (
  select first_trace, trace_count from batches
  where organization = :organization and received_at_us >= :time_us
  order by received_at_us, id
  limit :batches
) as next
where trace_count > 0

-- name: traces_received_before
select max(last_trace) from (
  select last_trace, trace_count from batches
  where organization = :organization and received_at_us < :time_us
  order by received_at_us desc, id desc
  limit :batches
) as earlier
where trace_count > 0

-- name: timeline_decisions
select id, organization, batch, position, api_key, agent, agent_reference, environment, outcome, violations, policies,
  approval, client, action_digest, trace_id, decided_at_us, latency_us, salt, erased
from decisions
where organization = :organization and trace_id = :trace_id
order by +decided_at_us, id
limit :limit

-- name: timeline_decision
select id, organization, batch, position, api_key, agent, agent_reference, environment, outcome, violations, policies,
  approval, client, action_digest, trace_id, decided_at_us, latency_us, salt, erased
from decisions
where organization = :organization and id = :id
