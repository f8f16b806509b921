-- name: live_budget_rules
select id, version, terms, created_at_us, updated_at_us
from budget_rules where organization = :organization and deleted_at_us is null
order by created_at_us, id

-- name: find_budget_rule
select id, version, terms, created_at_us, updated_at_us
from budget_rules where organization = :organization and id = :id and deleted_at_us is null

-- name: insert_budget_rule
insert into budget_rules (id, organization, version, terms, created_at_us, updated_at_us)
values (:id, :organization, :version, :terms, :now_us, :now_us)
returning id

-- name: change_budget_rule
update budget_rules set version = :version, terms = :terms, updated_at_us = :now_us
where organization = :organization and id = :id and version = :version - 1 and deleted_at_us is null
returning id

-- name: delete_budget_rule
update budget_rules set version = :version, terms = :terms, updated_at_us = :now_us, deleted_at_us = :now_us
where organization = :organization and id = :id and version = :version - 1 and deleted_at_us is null
returning id
