-- name: put_grant
insert into agent_grants (id, organization, caller, callee, actions, expires_at_us, granted_at_us)
values (:id, :organization, :caller, :callee, :actions, :expires_at_us, :now_us)
on conflict (caller, callee) do update set actions = excluded.actions, expires_at_us = excluded.expires_at_us,
  granted_at_us = excluded.granted_at_us
returning id

-- name: grants_of
select g.id, g.caller, g.callee, c.agent_id as caller_agent_id, e.agent_id as callee_agent_id, g.actions,
  g.expires_at_us, g.granted_at_us
from agent_grants g join agents c on c.id = g.caller join agents e on e.id = g.callee
where g.organization = :organization and g.caller = :caller
order by g.granted_at_us, g.id

-- name: find_grant
select g.id, g.caller, g.callee, c.agent_id as caller_agent_id, e.agent_id as callee_agent_id, g.actions,
  g.expires_at_us, g.granted_at_us
from agent_grants g join agents c on c.id = g.caller join agents e on e.id = g.callee
where g.organization = :organization and g.caller = :caller and g.callee = :callee

-- name: delete_grant
delete from agent_grants where organization = :organization and caller = :caller and id = :id
returning id
