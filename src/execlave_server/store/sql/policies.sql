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

-- name: newest_decisions
select id, decided_at_us, trace_id, outcome, policies
from decisions
where organization = :organization and decided_at_us >= :from_us and (decided_at_us, id) < (:before_us, :before_id)
order by decided_at_us desc, id desc
limit :rows

-- name: batches_received
select id, trace_count, received_at_us
from batches
where organization = :organization and (received_at_us, id) > (:after_us, :after_id) and trace_count > 0
order by received_at_us, id
limit :rows

-- name: batch_items
select t.id, t.trace_id, t.item
from batches b join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
where b.organization = :organization and b.id = :batch and t.id > :after
order by t.id
limit :rows

-- name: traces_received
select cast(coalesce(sum(trace_count), 0) as bigint) from batches
where organization = :organization and received_at_us >= :from_us
