-- name: insert_resolution
insert into trace_resolutions (id, organization, trace_id, resolved_status, basis, effect_ref, acknowledgement_id,
  detail, observed_at_us, api_key, recorded_at_us)
values (:id, :organization, :trace_id, :resolved_status, :basis, :effect_ref, :acknowledgement_id,
  :detail, :observed_at_us, :api_key, :recorded_at_us)

-- name: count_resolutions
select count(*) from trace_resolutions where organization = :organization and trace_id = :trace_id

-- name: resolutions_of_trace
select id, trace_id, resolved_status, basis, effect_ref, acknowledgement_id, detail, observed_at_us, recorded_at_us
from trace_resolutions
where organization = :organization and trace_id = :trace_id
order by recorded_at_us, id
