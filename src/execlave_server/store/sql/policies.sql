-- name: live_policies
select id, version, body, created_at_us, updated_at_us
from policies where organization = :organization and deleted_at_us is null
order by name, id

-- name: find_policy
select id, version, body, created_at_us, updated_at_us
from policies where organization = :organization and id = :id and deleted_at_us is null

-- name: policy_standing
select version from policies where organization = :organization and id = :id and deleted_at_us is null

-- name: policy_named
select id from policies where organization = :organization and name = :name and deleted_at_us is null

-- name: insert_policy
insert into policies (id, organization, name, version, body, created_at_us, updated_at_us)
values (:id, :organization, :name, :version, :body, :now_us, :now_us)

-- name: change_policy
update policies set name = :name, version = :version, body = :body, updated_at_us = :now_us
where organization = :organization and id = :id

-- name: delete_policy
update policies set version = :version, deleted_at_us = :now_us, updated_at_us = :now_us
where organization = :organization and id = :id

-- name: insert_policy_version
insert into policy_versions (policy, version, organization, change, body, changed_by, changed_at_us)
values (:id, :version, :organization, :change, :body, :changed_by, :now_us)

-- name: policy_versions
select policy as id, version, change, body, changed_by, changed_at_us
from policy_versions where organization = :organization and policy = :id
order by version desc

-- name: policies_changed
update organizations set policies_version = policies_version + 1 where number = :organization

-- name: policies_standing
select policies_version from organizations where number = :organization
