-- name: destination_standings
select d.id, o.id as organization_id, d.state, coalesce(q.waiting, 0) as waiting,
  b.received_at_us as oldest_waiting_at_us
from destinations d join organizations o on o.number = d.organization
left join (
  select destination, cast(sum(log_count - accepted_count - parked_count) as bigint) as waiting, min(batch) as oldest
  from outbox
  where due_at_us is not null
  group by destination
) q on q.destination = d.number
left join batches b on b.id = q.oldest
order by d.number

-- name: parked_by_reason
select d.id, o.id as organization_id, p.reason, count(*) as logs
from destinations d join organizations o on o.number = d.organization join parked p on p.destination = d.number
group by d.id, o.id, p.reason

-- name: claim_heartbeat
update destinations set heartbeat_at_us = :minute_us
where number = :destination and state = 'enabled' and heartbeat = 1
  and (heartbeat_at_us is null or heartbeat_at_us < :minute_us or heartbeat_at_us > :ahead_us)
returning number

-- name: heartbeat_facts
select coalesce(q.backlog, 0) as backlog, b.received_at_us as oldest_at_us,
  (select count(*) from parked p where p.destination = :destination) as parked
from (
  select cast(sum(log_count - accepted_count - parked_count) as bigint) as backlog, min(batch) as oldest
  from outbox
  where destination = :destination and due_at_us is not null
) q left join batches b on b.id = q.oldest
