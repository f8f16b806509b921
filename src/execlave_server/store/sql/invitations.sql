-- name: first_without_people
select o.number, o.id, o.name, o.version, o.created_at_us from organizations o
where o.number = (select min(number) from organizations)
  and not exists (select 1 from users u where u.organization = o.number)

-- name: end_welcomes
update invitations set revoked_at_us = :now_us
where organization = :organization and kind = 'welcome' and used_at_us is null and revoked_at_us is null

-- name: insert_invitation
insert into invitations (id, organization, hash, kind, email, role, created_by, created_at_us, expires_at_us)
values (:id, :organization, :hash, :kind, :email, :role, :created_by, :now_us, :expires_at_us)

-- name: find_invitation
select i.id, i.organization, o.id as organization_id, o.name as organization_name, i.kind, i.email, i.role,
  i.created_at_us, i.expires_at_us
from invitations i join organizations o on o.number = i.organization
where i.hash = :hash and i.used_at_us is null and i.revoked_at_us is null and i.expires_at_us > :now_us
  and (i.kind <> 'welcome' or not exists (select 1 from users u where u.organization = i.organization))

-- name: open_invitations
select i.id, i.organization, o.id as organization_id, o.name as organization_name, i.kind, i.email, i.role,
  i.created_at_us, i.expires_at_us
from invitations i join organizations o on o.number = i.organization
where i.organization = :organization and i.kind = 'invite' and i.used_at_us is null and i.revoked_at_us is null
  and i.expires_at_us > :now_us
order by i.created_at_us

-- name: use_invitation
update invitations set used_at_us = :now_us
where organization = :organization and id = :id and used_at_us is null and revoked_at_us is null
  and expires_at_us > :now_us
  and (kind <> 'welcome' or not exists (select 1 from users u where u.organization = invitations.organization))
returning id

-- name: revoke_invitation
update invitations set revoked_at_us = :now_us
where organization = :organization and id = :id and used_at_us is null and revoked_at_us is null
returning id, role

-- name: end_invitations_of
update invitations set revoked_at_us = :now_us
where organization = :organization and email = :email and used_at_us is null and revoked_at_us is null

-- name: forget_invitations
delete from invitations where expires_at_us < :before_us
