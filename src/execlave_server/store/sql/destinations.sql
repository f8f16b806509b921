-- name: insert_destination
insert into destinations (id, organization, name, state, site, sealed_key, key_hint, service, ddtags, heartbeat,
  events, created_at_us, updated_at_us)
values (:id, :organization, :name, 'draft', :site, :sealed_key, :key_hint, :service, :ddtags, :heartbeat, :events,
  :now_us, :now_us)

-- name: list_destinations
select d.id, d.number, d.organization, o.id as organization_id, d.name, d.state, d.state_reason, d.site, d.sealed_key,
  d.key_hint, d.service, d.ddtags, d.heartbeat, d.events, d.tested_at_us, d.candidate_site, d.candidate_sealed_key,
  d.candidate_key_hint, d.created_at_us, d.updated_at_us, d.disabled_at_us, d.enabled_at_us
from destinations d join organizations o on o.number = d.organization
where d.organization = :organization
order by d.number

-- name: find_destination
select d.id, d.number, d.organization, o.id as organization_id, d.name, d.state, d.state_reason, d.site, d.sealed_key,
  d.key_hint, d.service, d.ddtags, d.heartbeat, d.events, d.tested_at_us, d.candidate_site, d.candidate_sealed_key,
  d.candidate_key_hint, d.created_at_us, d.updated_at_us, d.disabled_at_us, d.enabled_at_us
from destinations d join organizations o on o.number = d.organization
where d.organization = :organization and d.id = :id

-- name: all_destinations
select d.id, d.number, d.organization, o.id as organization_id, d.name, d.state, d.state_reason, d.site, d.sealed_key,
  d.key_hint, d.service, d.ddtags, d.heartbeat, d.events, d.tested_at_us, d.candidate_site, d.candidate_sealed_key,
  d.candidate_key_hint, d.created_at_us, d.updated_at_us, d.disabled_at_us, d.enabled_at_us
from destinations d join organizations o on o.number = d.organization
where d.state in ('enabled', 'held')
order by d.number

-- name: destination_revision
select updated_at_us from destinations where organization = :organization and id = :id

-- name: destination_keys
select sealed_key, candidate_sealed_key from destinations where organization = :organization and id = :id

-- name: update_destination
update destinations set
  name = :name, service = :service, ddtags = :ddtags, heartbeat = :heartbeat, events = :events, site = :site,
  sealed_key = :sealed_key, key_hint = :key_hint,
  tested_at_us = :tested_at_us, candidate_site = :candidate_site, candidate_sealed_key = :candidate_sealed_key,
  candidate_key_hint = :candidate_key_hint, state = :state, state_reason = :state_reason, updated_at_us = :now_us
where organization = :organization and id = :id

-- name: note_gap
update destinations set disabled_at_us = :disabled_at_us, enabled_at_us = :enabled_at_us
where organization = :organization and id = :id

-- name: close_gap
update destinations set disabled_at_us = null, enabled_at_us = null
where number = :destination and enabled_at_us = :enabled_at_us

-- name: hold_destination
update destinations set state = 'held', state_reason = :reason, updated_at_us = :now_us
where number = :destination and state = 'enabled' and updated_at_us = :seen_at_us
returning id

-- name: find_destination_named
select id from destinations where organization = :organization and name = :name

-- name: resume_destination
update destinations set state = 'enabled', state_reason = null, tested_at_us = :now_us, updated_at_us = :now_us
where number = :destination and state = 'held'
returning id
