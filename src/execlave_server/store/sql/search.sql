-- name: labels_of_organization
select kind, value, number from labels where organization = :organization

-- name: search_floor
select id from traces
where organization = :organization and id < :before and id >= :first
order by id desc
limit 1 offset :entries

-- name: search_first
-- The clock that receive times are of may have been set back: a batch received clearly before a span of time lies
-- before all that was received in it, unless the clock was set back by more than that.
select last_trace + 1
from batches
where organization = :organization and received_at_us < :clearly_before_us and trace_count > 0
order by received_at_us desc, id desc
limit 1

-- name: search_end
select first_trace
from batches
where organization = :organization and received_at_us >= :clearly_after_us and trace_count > 0
order by received_at_us, id
limit 1

-- name: received_before
select b.received_at_us
from batches b
where b.organization = :organization
  and b.id = (
    select t.batch from traces t
    where t.organization = :organization and t.id < :before and t.id >= :first
    order by t.id desc
    limit 1
  )
