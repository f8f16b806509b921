-- name: charge_meter
insert into meters (organization, meter, used, reserved, expires_at_us)
select cast(:organization as bigint), cast(:meter as text), cast(:used as bigint), cast(:reserved as bigint),
  cast(:expires_at_us as bigint)
where cast(:used as bigint) + cast(:reserved as bigint) <= cast(:cap as bigint)
on conflict (organization, meter) do update set
  used = meters.used + excluded.used, reserved = meters.reserved + excluded.reserved
where meters.used + meters.reserved < cast(:cap as bigint)
  and meters.used + meters.reserved + excluded.used + excluded.reserved <= cast(:cap as bigint)
returning used, reserved

-- name: spend_meter
insert into meters (organization, meter, used, reserved, expires_at_us)
values (:organization, :meter, :used, 0, :expires_at_us)
on conflict (organization, meter) do update set used = meters.used + excluded.used

-- name: release_meter
update meters set reserved = reserved - :amount
where organization = :organization and meter = :meter and exists (select 1 from reservations where id = :id)

-- name: forget_meters
delete from meters where expires_at_us < :now_us

-- name: insert_reservation
insert into reservations (id, organization, agent, trace_id, amount, meters, lapses_at_us)
values (:id, :organization, :agent, :trace_id, :amount, :meters, :lapses_at_us)

-- name: delete_reservation
delete from reservations where id = :id

-- name: reservations_of
select id, organization, agent, trace_id, amount, meters
from reservations where organization = :organization and agent = :agent
order by lapses_at_us, id
limit :limit

-- name: lapsed_reservations
select id, organization, agent, trace_id, amount, meters
from reservations where lapses_at_us <= :now_us
order by lapses_at_us, id
limit :limit
