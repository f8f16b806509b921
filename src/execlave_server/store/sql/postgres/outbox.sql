-- Several workers lease from one queue: each passes over what another is just leasing, and waits for nobody.

-- name: lease_outbox
update outbox set due_at_us = :lease_until_us, leased_at_us = :now_us, fence = fence + 1
where destination = :destination and batch in (
  select batch
  from (
    select batch, sum(log_count) over (order by due_at_us, batch) - log_count as logs_before
    from (
      select batch, due_at_us, log_count from (
        select batch, due_at_us, log_count from outbox
        where destination = :destination and due_at_us <= :now_us
        order by due_at_us, batch
        limit :rows
        for update skip locked
      ) as past
      union all
      select batch, due_at_us, log_count from (
        select batch, due_at_us, log_count from outbox
        where destination = :destination and due_at_us > :far_us
        order by due_at_us, batch
        limit :rows
        for update skip locked
      ) as far
      order by due_at_us, batch
      limit :rows
    ) as due
  ) as counted
  where logs_before < :logs
)
returning batch, fence, attempts, log_count, committed_at_us,
  (select log_bytes from batches where id = batch) as log_bytes, accepted_count, parked_count, settled, origin

-- "=" and not "in": a sub-select that locks may run again for each row, and its limit would then hold for none.
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
