-- Several workers lease from one queue: each passes over what another is just leasing, and waits for nobody.

-- The rows are chosen in materialized expressions: a sub-select that locks may run again for each row of the update, each
-- time passing over what it has locked before, and its limit would then hold for none.
-- name: lease_outbox
with past as materialized (
  select batch, due_at_us, log_count from outbox
  where destination = :destination and due_at_us <= :now_us
  order by due_at_us, batch
  limit :rows
  for update skip locked
), far as materialized (
  select batch, due_at_us, log_count from outbox
  where destination = :destination and due_at_us > :far_us
  order by due_at_us, batch
  limit :rows
  for update skip locked
), due as (
  select batch, due_at_us, log_count from past
  union all
  select batch, due_at_us, log_count from far
  order by due_at_us, batch
  limit :rows
), counted as materialized (
  select batch, sum(log_count) over (order by due_at_us, batch) - log_count as logs_before from due
)
update outbox x set due_at_us = :lease_until_us, leased_at_us = :now_us, fence = fence + 1
from counted c
where x.destination = :destination and x.batch = c.batch and c.logs_before < :logs
returning x.batch, x.fence, x.attempts, x.log_count, x.committed_at_us,
  (select log_bytes from batches where id = x.batch) as log_bytes, x.accepted_count, x.parked_count, x.settled, x.origin

-- "=" and not "in", for the same reason.
-- name: lease_oldest
update outbox set due_at_us = :lease_until_us, leased_at_us = :now_us, fence = fence + 1
where destination = :destination and batch = (
  select batch from outbox
  where destination = :destination and due_at_us is not null
    and (leased_at_us is null or due_at_us <= :now_us or due_at_us > :far_us)
  order by due_at_us, batch
  limit 1
  for update skip locked
)
returning batch, fence, attempts, log_count, committed_at_us,
  (select log_bytes from batches where id = batch) as log_bytes, accepted_count, parked_count, settled, origin
