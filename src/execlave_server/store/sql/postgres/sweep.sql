-- name: sweep_traces
delete from traces t using batches b
where b.organization = :organization
  and (b.received_at_us, b.id) >= (:from_us, :first) and (b.received_at_us, b.id) <= (:to_us, :last)
  and t.day = b.received_at_us / 86400000000 and t.id between b.first_trace and b.last_trace and t.batch = b.id

-- name: drop_swept_days
select drop_swept_partitions(:before_us)
