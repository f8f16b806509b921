-- name: batch_items
select t.id, t.trace_id, t.item
from batches b join traces t on t.day = b.received_at_us / 86400000000
  and t.id between b.first_trace and b.last_trace and t.batch = b.id
where b.organization = :organization and b.id = :batch and t.id > :after
order by t.id
limit :rows
