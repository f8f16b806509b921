-- name: list_parked
select p.id, d.id as destination_id, p.destination, p.batch, p.position, p.reason, p.status, p.answer, p.payload,
  p.parked_at_us
from parked p join destinations d on d.number = p.destination
where d.organization = :organization and p.id > :after
  and (cast(:destination_id as text) is null or d.id = :destination_id)
order by p.id
limit :limit

-- name: find_parked
select p.id, d.id as destination_id, p.destination, p.batch, p.position, p.reason, p.status, p.answer, p.payload,
  p.parked_at_us
from parked p join destinations d on d.number = p.destination
where d.organization = :organization and p.id = :id

-- name: is_parked
select 1 from parked where destination = :destination and batch = :batch and position = :position

-- name: provisionally_parked
select batch, position from parked where destination = :destination and provisional = 1 order by id

-- name: delete_parked_at
delete from parked where destination = :destination and batch = :batch and position = :position

-- name: ledger_state
select fence, log_count, parked_count, settled, leased_at_us
from outbox where destination = :destination and batch = :batch

-- name: ledger_unchanged
select fence, parked_count, settled from outbox where destination = :destination and batch = :batch

-- name: reopen_ledger
update outbox set parked_count = :parked, settled = :settled, due_at_us = :now_us, delivered_at_us = null,
  leased_at_us = null, fence = fence + 1, attempts = 0
where destination = :destination and batch = :batch
