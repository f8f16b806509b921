-- name: incident_backlog
select o.id, o.number, coalesce(p.seq, 0) as looked_through, h.seq as newest
from audit_heads h
join organizations o on o.number = h.organization
left join incident_positions p on p.organization = h.organization
where h.seq > coalesce(p.seq, 0)
order by o.number

-- name: entries_of_batches
select seq, kind, case when kind = 'batch.root' then details end as details
from audit_entries
where organization = :organization and seq > :after
order by seq
limit :limit

-- name: move_incident_position
insert into incident_positions (organization, seq) values (:organization, :seq)
on conflict (organization) do update set seq = excluded.seq where incident_positions.seq = :was
returning seq

-- name: policy_title
select name from policies where organization = :organization and id = :id

-- name: grouping_incidents
select id, agent, agent_reference, environment, policy, severity, last_seen_us, resolved_at_us, violations,
  (select count(*) from incident_traces t where t.incident = i.id) as listed,
  (select count(*) from incident_steps s where s.incident = i.id and s.kind = 'violations') as told
from incidents i
where organization = :organization and last_seen_us >= :since_us
order by opened_at_us, id
limit :limit

-- name: incidents_of_trace
select i.id, i.state, i.severity
from incident_traces t join incidents i on i.id = t.incident
where t.organization = :organization and t.trace_id = :trace_id
group by i.id, i.state, i.severity, i.opened_at_us
order by i.opened_at_us desc, i.id
limit :limit

-- name: insert_incident
insert into incidents (id, organization, agent, agent_reference, agent_name, environment, policy, policy_name, severity,
  state, opened_by, opening_trace, opened_at_us, first_seen_us, last_seen_us, violations, salt)
values (:id, :organization, :agent, :agent_reference, :agent_name, :environment, :policy, :policy_name, :severity,
  'open', :opened_by, :opening_trace, :now_us, :first_seen_us, :last_seen_us, :violations, :salt)

-- name: add_violations
update incidents set violations = violations + :violations, severity = :severity, version = version + :steps,
  first_seen_us = case when first_seen_us > :first_seen_us then :first_seen_us else first_seen_us end,
  last_seen_us = case when last_seen_us < :last_seen_us then :last_seen_us else last_seen_us end
where organization = :organization and id = :id and (resolved_at_us is null or resolved_at_us >= :last_seen_us)
returning id

-- name: insert_incident_trace
insert into incident_traces (incident, trace, organization, trace_id, span_id, status, received_at_us)
values (:incident, :trace, :organization, :trace_id, :span_id, :status, :received_at_us)

-- name: insert_incident_step
insert into incident_steps (incident, number, organization, kind, at_us, actor, text, violations, assignee)
select id, version, organization, cast(:kind as text), cast(:now_us as bigint), cast(:actor as text), cast(:text as text),
  cast(:violations as bigint), cast(:assignee as text)
from incidents where organization = :organization and id = :incident

-- name: change_incident
update incidents set state = :state, assignee = :assignee, resolved_at_us = :resolved_at_us, resolution = :resolution,
  version = version + 1
where organization = :organization and id = :id and version = :was
returning id

-- name: find_incident
select i.id, i.organization, i.agent, i.agent_reference, i.agent_name, i.environment, i.policy, i.policy_name, i.severity,
  i.state, i.opened_by, i.opened_at_us, i.first_seen_us, i.last_seen_us, i.violations, i.assignee,
  u.name as assignee_name, u.email as assignee_email, i.resolved_at_us, i.resolution, i.version, i.salt
from incidents i left join users u on u.id = i.assignee
where i.organization = :organization and i.id = :id

-- name: list_incidents
select i.id, i.organization, i.agent, i.agent_reference, i.agent_name, i.environment, i.policy, i.policy_name, i.severity,
  i.state, i.opened_by, i.opened_at_us, i.first_seen_us, i.last_seen_us, i.violations, i.assignee,
  u.name as assignee_name, u.email as assignee_email, i.resolved_at_us, i.resolution, i.version, i.salt
from incidents i left join users u on u.id = i.assignee
where i.organization = :organization
  and (i.opened_at_us, i.id) < (:before_us, :before)
  and (:state = '' or i.state = :state or (:state = 'unresolved' and i.state <> 'resolved'))
order by i.opened_at_us desc, i.id desc
limit :limit

-- name: count_incidents
select state, count(*) from incidents where organization = :organization group by state

-- name: incident_steps
select s.number, s.kind, s.at_us, s.actor, s.text, s.violations, s.assignee, u.name as assignee_name,
  u.email as assignee_email
from incident_steps s left join users u on u.id = s.assignee
where s.organization = :organization and s.incident = :incident
order by s.number
limit :limit

-- name: incident_traces
select trace, trace_id, span_id, status, received_at_us
from incident_traces
where organization = :organization and incident = :incident
order by trace
limit :limit
