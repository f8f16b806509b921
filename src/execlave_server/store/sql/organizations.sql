-- name: insert_organization
insert into organizations (id, name, created_at_us) values (:id, :name, :now_us) returning number

-- name: list_organizations
select number, id, name, version, created_at_us from organizations order by number

-- name: find_organization
select number, id, name, version, created_at_us from organizations where id = :id

-- name: rename_organization
update organizations set name = :name where number = :organization and name <> :name returning id

-- name: insert_api_key
insert into api_keys (id, organization, name, environment, role, hash, hint, created_at_us)
values (:id, :organization, :name, :environment, :role, :hash, :hint, :now_us)

-- name: find_api_key
select k.id, k.organization, o.id as organization_id, k.name, k.environment, k.role, k.hint, k.created_at_us,
  k.revoked_at_us, o.version as organization_version, k.last_used_at_us
from api_keys k join organizations o on o.number = k.organization
where k.hash = :hash

-- name: list_api_keys
select k.id, k.organization, o.id as organization_id, k.name, k.environment, k.role, k.hint, k.created_at_us,
  k.revoked_at_us, o.version as organization_version, k.last_used_at_us
from api_keys k join organizations o on o.number = k.organization
where k.organization = :organization
order by k.created_at_us, k.id

-- name: revoke_api_key
update api_keys set revoked_at_us = :now_us
where organization = :organization and id = :id and revoked_at_us is null
returning id, environment, role

-- name: key_used
update api_keys set last_used_at_us = :now_us where id = :id

-- name: key_standing
select revoked_at_us from api_keys where id = :api_key

-- name: insert_installation
insert into installation (id, created_at_us) values (:id, :now_us)
