-- name: evidence_end
select o.id, h.seq, h.hash, h.frontier,
  (select coalesce(max(e.seq), 0) from audit_entries e where e.organization = h.organization) as newest_entry,
  (select coalesce(max(b.id), 0) from batches b where b.organization = h.organization) as newest_batch
from audit_heads h join organizations o on o.number = h.organization
where h.organization = :organization

-- name: audit_entry
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.seq = :seq

-- name: audit_events
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.seq > :after and e.kind <> 'batch.root'
  and (cast(:kind as text) is null or e.kind = :kind)
order by e.seq
limit :limit

-- name: audit_sweeps
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.kind = 'sweep.done' and e.kind <> 'batch.root' and e.seq > :after
order by e.seq

-- name: decision_entry
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.kind = 'decision.recorded' and e.kind <> 'batch.root'
  and e.seq > :after and e.seq <= :last and e.subject = :subject

-- name: audit_hashes
select seq, hash from audit_entries
where organization = :organization and seq > :after and seq <= :last
order by seq
limit :limit

-- name: evidence_batches
select id, received_at_us, first_trace, last_trace, trace_count, decision_count, event_count, log_bytes, leaves,
  audit_seq, audit_hash
from batches
where +organization = :organization and id > :after and id <= :last
order by id
limit :limit

-- name: evidence_decisions
select id, organization, batch, position, api_key, agent, agent_reference, environment, outcome, violations, policies,
  approval, client, action_digest, trace_id, decided_at_us, latency_us, salt, erased
from decisions
where batch > :after and batch <= :last

-- name: evidence_event_logs
select batch, position, organization, seq, occurred_at_ms, log
from event_logs
where batch > :after and batch <= :last

-- name: stray_event_logs
select l.batch, l.position
from event_logs l
where l.organization = :organization and not exists (
  select 1 from batches b where b.id = l.batch and b.organization = l.organization
)
order by l.batch, l.position
limit :limit

-- name: decisions_of_trace
select id, organization, batch, position, api_key, agent, agent_reference, environment, outcome, violations, policies,
  approval, client, action_digest, trace_id, decided_at_us, latency_us, salt, erased
from decisions
where organization = :organization and trace_id = :trace_id

-- name: stored_decision
select id, organization, batch, position, api_key, agent, agent_reference, environment, outcome, violations, policies,
  approval, client, action_digest, trace_id, decided_at_us, latency_us, salt, erased
from decisions
where organization = :organization and id = :id

-- name: stray_decisions
select d.id, d.batch, d.decided_at_us
from decisions d
where +d.organization = :organization and d.id > :after
  and (d.batch is null or not exists (
    select 1 from batches b where b.id = d.batch and b.organization = d.organization
  ))
order by d.id
limit :limit

-- name: stray_traces
select t.id, t.trace_id, t.batch
from traces t
where t.organization = :organization and t.id >= :first and t.id <= :last
  and not exists (
    select 1 from batches b
    where b.id = t.batch and b.organization = t.organization and t.id between b.first_trace and b.last_trace
  )
order by t.id
limit :limit

-- name: erase_decision
update decisions set action_digest = '', violations = '[]', salt = null, erased = :erased
where organization = :organization and id = :id and erased is null

-- name: erase_parked
update parked set payload = :payload, answer = null
where batch = :batch and position = :trace - (select first_trace from batches where id = :batch)

-- name: erase_trace
update traces set log = :log, item = :item, salt = null, erased = :erased
where organization = :organization and id = :id and erased is null
returning id
