-- name: read_meters
select meter, used + reserved from meters
where organization = :organization
  and meter in (select value from jsonb_array_elements_text(cast(:meters as jsonb)) as wanted (value))

-- name: add_to_meters
insert into meters (organization, meter, used, reserved, expires_at_us)
select cast(:organization as bigint), added ->> 0, cast(added ->> 1 as bigint), cast(added ->> 2 as bigint),
  cast(added ->> 3 as bigint)
from jsonb_array_elements(cast(:rows as jsonb)) as given (added)
on conflict (organization, meter) do update set
  used = least(meters.used + excluded.used, cast(:most as bigint)),
  reserved = least(meters.reserved + excluded.reserved, cast(:most as bigint))

-- name: release_meters
update meters set reserved = greatest(reserved - cast(:amount as bigint), 0)
where organization = :organization
  and meter in (select value from jsonb_array_elements_text(cast(:meters as jsonb)) as wanted (value))
  and exists (select 1 from reservations where id = :id)

-- name: claimable_reservations
select id, organization, agent, trace_id, amount, meters from (
  select r.* from reservations r
  where r.organization = :organization
    and r.id in (select value from jsonb_array_elements_text(cast(:ids as jsonb)) as named (value))
  union
  select r.* from reservations r
  where r.organization = :organization
    and r.approval is null
    and r.trace_id in (select value from jsonb_array_elements_text(cast(:traces as jsonb)) as named (value))
  union
  select oldest.* from jsonb_array_elements_text(cast(:agents as jsonb)) as named (value)
  cross join lateral (
    select r.* from reservations r
    where r.organization = :organization and r.agent = named.value and r.trace_id is null and r.approval is null
    order by r.lapses_at_us limit :per_agent
  ) as oldest
) as claimable
order by lapses_at_us, id

-- name: spans_of_traces
select t.trace_id, t.log
from jsonb_array_elements_text(cast(:trace_keys as jsonb)) as wanted (trace_key)
cross join lateral (
  select trace_id, log from traces
  where day >= (select coalesce(max(received_at_us) / 86400000000, 0) - cast(:look_back as bigint) from batches)
    and trace_key = cast(wanted.trace_key as bigint) and organization = :organization
  offset 0
) as t
limit :limit
