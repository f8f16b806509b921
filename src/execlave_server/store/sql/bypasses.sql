-- name: known_bypass
select id from bypass_windows where organization = :organization and id = :id

-- name: insert_bypass
insert into bypass_windows (organization, id, kind, api_key, agent, reason, source, first_at_us, last_at_us, calls,
  windows, message, status, consecutive_failures, sdk, received_at_us)
values (:organization, :id, :kind, :api_key, :agent, :reason, :source, :first_at_us, :last_at_us, :calls,
  :windows, :message, :status, :consecutive_failures, :sdk, :now_us)
on conflict (organization, id) do nothing
returning id
