-- name: batches_between
select id, trace_count, received_at_us
from batches
where organization = :organization and (received_at_us, id) > (:after_us, :after_id) and received_at_us < :to_us
order by received_at_us, id
limit :rows
