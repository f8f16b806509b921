-- name: insert_approval
insert into approvals (id, organization, decision, api_key, agent, agent_reference, environment, requester,
  action_digest, action_context, salt, violations, trace_id, tools, risk_score, risk_level, alerts_unverified, status,
  requested_at_us, expires_at_us, parent_span_id, session_id, user_id)
values (:id, :organization, :decision, :api_key, :agent, :agent_reference, :environment, :requester,
  :action_digest, :action_context, :salt, :violations, :trace_id, :tools, :risk_score, :risk_level,
  :alerts_unverified, 'pending', :requested_at_us, :expires_at_us, :parent_span_id, :session_id, :user_id)

-- name: find_approval
select id, organization, decision, api_key, agent, agent_reference, environment, requester, action_digest, salt,
  violations, trace_id, tools, risk_score, risk_level, status, requested_at_us, expires_at_us, decided_at_us,
  decided_by, decision_reason, certificate_id, certificate, certificate_expires_at_us, certificate_verified_at_us,
  unverified_at_us, parent_span_id, session_id, user_id
from approvals
where organization = :organization and id = :id

-- name: approval_context
select action_context from approvals where organization = :organization and id = :id

-- name: list_approvals
select id, organization, decision, api_key, agent, agent_reference, environment, requester, action_digest, salt,
  violations, trace_id, tools, risk_score, risk_level, status, requested_at_us, expires_at_us, decided_at_us,
  decided_by, decision_reason, certificate_id, certificate, certificate_expires_at_us, certificate_verified_at_us,
  unverified_at_us, parent_span_id, session_id, user_id
from approvals
where organization = :organization
  and (:status = '' or :status = case when status = 'pending' and expires_at_us <= :now_us then 'expired'
    else status end)
order by requested_at_us desc, id desc
limit :limit offset :offset

-- name: count_approvals
select count(*) from approvals
where organization = :organization
  and (:status = '' or :status = case when status = 'pending' and expires_at_us <= :now_us then 'expired'
    else status end)

-- name: grant_approval
update approvals set status = 'approved', decided_at_us = :now_us, decided_by = :person, decision_reason = :reason,
  certificate_id = :certificate_id, certificate = :certificate, certificate_expires_at_us = :certificate_expires_at_us
where organization = :organization and id = :id and status = 'pending' and expires_at_us > :now_us
returning id

-- name: deny_approval
update approvals set status = 'denied', decided_at_us = :now_us, decided_by = :person, decision_reason = :reason
where organization = :organization and id = :id and status = 'pending' and expires_at_us > :now_us
returning id

-- name: expire_approval
update approvals set status = 'expired'
where organization = :organization and id = :id and status = 'pending' and expires_at_us <= :now_us
returning id

-- name: use_certificate
update approvals set certificate_verified_at_us = :now_us
where organization = :organization and id = :id and status = 'approved' and certificate_id = :certificate_id
  and certificate_verified_at_us is null and certificate_expires_at_us > :now_us
returning id

-- name: mark_unverified
update approvals set unverified_at_us = :now_us
where organization = :organization and id = :id and status = 'approved' and certificate_verified_at_us is null
  and unverified_at_us is null and certificate_expires_at_us <= :now_us
returning id

-- name: approvals_run_out
select id, organization, decision, api_key, agent, agent_reference, environment, requester, action_digest, salt,
  violations, trace_id, tools, risk_score, risk_level, status, requested_at_us, expires_at_us, decided_at_us,
  decided_by, decision_reason, certificate_id, certificate, certificate_expires_at_us, certificate_verified_at_us,
  unverified_at_us, parent_span_id, session_id, user_id
from approvals
where status = 'pending' and expires_at_us <= :now_us
order by expires_at_us
limit :limit

-- name: approvals_unverified
select id, organization, decision, api_key, agent, agent_reference, environment, requester, action_digest, salt,
  violations, trace_id, tools, risk_score, risk_level, status, requested_at_us, expires_at_us, decided_at_us,
  decided_by, decision_reason, certificate_id, certificate, certificate_expires_at_us, certificate_verified_at_us,
  unverified_at_us, parent_span_id, session_id, user_id
from approvals
where status = 'approved' and certificate_verified_at_us is null and unverified_at_us is null
  and certificate_expires_at_us <= :now_us and alerts_unverified = 1
order by certificate_expires_at_us
limit :limit

-- name: approvals_of_user
select id, decision,
  case when :now_us >= coalesce(certificate_expires_at_us, expires_at_us) or status in ('denied', 'expired')
    then 1 else 0 end as is_over
from approvals
where +organization = :organization and id > :after and (action_context is not null or action_digest <> '')
  and (user_id = :user or lower(requester) = lower(cast(:user as text)))
order by id
limit :limit

-- name: erase_open_approval
update approvals set action_context = null where organization = :organization and id = :id

-- name: erase_approval
update approvals set action_context = null, action_digest = '', violations = '[]', requester = null, user_id = null,
  session_id = null, decision_reason = null, certificate = null, salt = :no_salt
where organization = :organization and id = :id

-- name: old_approvals
select count(*) from approvals
where organization = :organization and requested_at_us < :before_us
  and :now_us >= coalesce(certificate_expires_at_us, expires_at_us) and status <> 'pending'

-- name: sweep_old_approvals
delete from approvals
where id in (
  select id from approvals
  where organization = :organization and requested_at_us < :before_us
    and :now_us >= coalesce(certificate_expires_at_us, expires_at_us) and status <> 'pending'
  order by requested_at_us, id
  limit :limit
)
returning id

-- name: certificate_entry
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.seq = (
  select max(c.seq) from audit_entries c
  where c.organization = :organization and c.subject = :subject and c.kind = 'certificate.issued'
)
