-- name: insert_identity_provider
insert into identity_providers (id, organization, tenant_id, audience, created_at_us)
values (:id, :organization, :tenant_id, :audience, :now_us)
on conflict (organization, tenant_id, audience) do nothing
returning id

-- name: list_identity_providers
select id, tenant_id, audience, created_at_us from identity_providers
where organization = :organization
order by created_at_us, id

-- name: find_identity_provider
select id, tenant_id, audience, created_at_us from identity_providers
where organization = :organization and id = :id

-- name: delete_identity_provider
delete from identity_providers
where organization = :organization and id = :id
  and not exists (select 1 from identity_bindings b where b.provider = identity_providers.id)
returning id

-- name: set_idp_bound
update agents set idp_bound = :bound,
  updated_at_us = case when :now_us > updated_at_us then :now_us else updated_at_us + 1 end
where organization = :organization and id = :id
returning id

-- name: bind_identity
insert into identity_bindings (agent, organization, provider, subject, bound_at_us)
select cast(:agent as text), p.organization, p.id, cast(:subject as text), cast(:now_us as bigint)
from identity_providers p
where p.organization = :organization and p.id = :provider
  and not exists (
    select 1 from identity_bindings b where b.provider = p.id and b.subject = :subject and b.agent <> :agent
  )
on conflict (agent) do update set provider = excluded.provider, subject = excluded.subject,
  bound_at_us = excluded.bound_at_us
returning agent

-- name: find_identity_binding
select agent, provider, subject, bound_at_us from identity_bindings
where organization = :organization and agent = :agent

-- name: unbind_identity
delete from identity_bindings where organization = :organization and agent = :agent
returning agent
