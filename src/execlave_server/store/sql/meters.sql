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

-- name: mark_meter
insert into meters (organization, meter, used, reserved, expires_at_us)
select cast(:organization as bigint), cast(:meter as text), 1, 0, cast(:expires_at_us as bigint)
where coalesce((
    select used + reserved from meters where organization = :organization and meter = cast(:of as text)
  ), 0) >= cast(:threshold as bigint)
on conflict (organization, meter) do nothing
returning meter

-- name: read_meter
select used, reserved from meters where organization = :organization and meter = :meter

-- name: expired_meters
select meter from meters where expires_at_us < :now_us limit 1

-- name: forget_meters
delete from meters where expires_at_us < :now_us

-- name: insert_reservation
insert into reservations (id, organization, agent, trace_id, amount, meters, approval, lapses_at_us)
values (:id, :organization, :agent, :trace_id, :amount, :meters, :approval, :lapses_at_us)

-- name: free_reservation
update reservations set approval = null, lapses_at_us = :lapses_at_us
where organization = :organization and id = :id

-- name: find_reservation
select id, organization, agent, trace_id, amount, meters
from reservations where organization = :organization and id = :id

-- name: delete_reservation
delete from reservations where organization = :organization and id = :id

-- name: lapsed_reservations
select id, organization, agent, trace_id, amount, meters
from reservations where lapses_at_us <= :now_us
order by lapses_at_us, id
limit :limit
