-- name: read_meters
select meter, used + reserved from meters
where organization = :organization and meter in (select value from json_each(:meters))

-- name: add_to_meters
insert into meters (organization, meter, used, reserved, expires_at_us)
select :organization, value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each(:rows) where true
on conflict (organization, meter) do update set
  used = min(meters.used + excluded.used, :most), reserved = min(meters.reserved + excluded.reserved, :most)

-- name: release_meters
update meters set reserved = max(reserved - :amount, 0)
where organization = :organization and meter in (select value from json_each(:meters))
  and exists (select 1 from reservations where id = :id)

-- name: claimable_reservations
select id, organization, agent, trace_id, amount, meters from (
  select r.* from json_each(:ids) named cross join reservations r on r.id = named.value and r.organization = :organization
  union
  select r.* from json_each(:traces) named
  cross join reservations r on r.organization = :organization and r.trace_id = named.value and r.approval is null
  union
  select r.* from json_each(:agents) named
  cross join reservations r on r.rowid in (
    select o.rowid from reservations o
    where o.organization = :organization and o.agent = named.value and o.trace_id is null and o.approval is null
    order by o.lapses_at_us limit :per_agent
  )
)
order by lapses_at_us, id

-- name: spans_of_traces
with recursive newest (bucket, left) as (
  select max(bucket), :look_back from traces
  union all
  select bucket - 1, left - 1 from newest where left > 1 and bucket > 0
)
select t.trace_id, t.log
from newest cross join json_each(:trace_keys) wanted
cross join traces t on t.bucket = newest.bucket and t.trace_key = wanted.value and +t.organization = :organization
limit :limit
