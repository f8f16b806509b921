-- name: traffic_by_step
select cast((received_at_us - :from_us) / :step_us as bigint) as step, cast(sum(trace_count) as bigint) as traces,
  cast(sum(errors) as bigint) as errors, cast(sum(violations) as bigint) as violations
from batches
where organization = :organization and received_at_us >= :from_us
group by 1
order by 1

-- name: decision_latencies
select latency_us from decisions
where organization = :organization and decided_at_us >= :from_us
order by decided_at_us desc, id desc
limit :limit

-- name: first_batch_since
select id from batches
where organization = :organization and received_at_us >= :from_us
order by received_at_us, id
limit 1

-- name: deliveries_by_step
select cast((x.committed_at_us - :from_us) / :step_us as bigint) as step,
  cast(sum(x.accepted_count) as bigint) as delivered,
  cast(sum(x.log_count - x.accepted_count - x.parked_count) as bigint) as waiting,
  cast(sum(x.parked_count) as bigint) as parked, cast(sum(x.late_count) as bigint) as late
from outbox x
where x.destination = (select number from destinations where organization = :organization and id = :id)
  and x.batch >= :first_batch and x.committed_at_us >= :from_us
group by 1
order by 1

-- name: delivery_queues
select d.id, coalesce(q.waiting, 0) as waiting, b.received_at_us as oldest_waiting_at_us,
  (select count(*) from parked p where p.destination = d.number) as parked
from destinations d
left join (
  select destination, cast(sum(log_count - accepted_count - parked_count) as bigint) as waiting, min(batch) as oldest
  from outbox
  where due_at_us is not null and destination in (select number from destinations where organization = :organization)
  group by destination
) q on q.destination = d.number
left join batches b on b.id = q.oldest
where d.organization = :organization
order by d.number

-- name: newest_answers
select x.batch, x.log_count, x.accepted_count, x.parked_count, x.committed_at_us, x.attempts, x.last_status,
  x.last_answer, x.delivered_at_us, x.latency_us, x.origin
from outbox x
where x.destination = (select number from destinations where organization = :organization and id = :id)
  and x.attempts > 0
order by x.batch desc
limit :limit

-- name: agents_by_status
select status, count(*) from agents where organization = :organization group by status

-- name: approvals_waiting
select count(*) from approvals
where status = 'pending' and expires_at_us > :now_us and organization = :organization
