-- name: ledger_page
with near as (
  select id, organization, first_trace, last_trace, log_count, received_at_us, collectors,
    cast(sum(log_count) over (order by id) - log_count as bigint) as logs_before
  from (
    select id, organization, first_trace, last_trace, trace_count + event_count as log_count, received_at_us, collectors
    from batches
    where id > :after and id <= :newest and (:organization = 0 or organization = :organization)
    order by id
    limit :batches
  ) as next
), page as materialized (
  select id, organization, first_trace, last_trace, log_count, received_at_us, collectors,
    (select count(*) from traces t where t.id between near.first_trace and near.last_trace and t.batch = near.id)
      + (select count(*) from event_logs l where l.batch = near.id) as traces
  from near
  where logs_before < :traces
)
select p.id as batch, p.organization, p.received_at_us, p.first_trace, p.last_trace, p.log_count as trace_count, p.traces,
  d.number as destination, x.log_count, x.accepted_count, x.parked_count, x.settled, x.due_at_us, x.delivered_at_us,
  (select count(*) from parked k where k.destination = d.number and k.batch = p.id) as parked_rows
from page p
left join destinations d on d.organization = p.organization and (
  p.collectors like '%,' || cast(d.number as text) || ',%'
  or exists (select 1 from outbox y where y.destination = d.number and y.batch = p.id)
)
left join outbox x on x.destination = d.number and x.batch = p.id
order by p.id, d.number

-- name: ledger_rows_without_batch
select x.destination, x.batch, x.log_count
from outbox x
where x.destination in (select number from destinations where :organization = 0 or organization = :organization)
  and x.batch > :after and x.batch <= :last
  and not exists (select 1 from batches b where b.id = x.batch)
order by x.batch, x.destination

-- name: batch_trace_ids
select t.id
from batches b join traces t on t.id between b.first_trace and b.last_trace and t.batch = b.id
where b.id = :batch
order by t.id

-- name: traces_without_batch
select t.batch, count(*), min(t.id), max(t.id)
from traces t
where t.id > :after and t.id <= :last and not exists (select 1 from batches b where b.id = t.batch)
group by t.batch
order by t.batch

-- name: queue_facts
select d.number as destination, d.heartbeat, d.heartbeat_at_us, x.batch as first_batch, x.due_at_us as first_due_at_us,
  x.leased_at_us as first_leased_at_us,
  (select count(*) from outbox z where z.destination = d.number and z.due_at_us > :far_us) as far_count,
  (select min(z.batch) from outbox z where z.destination = d.number and z.due_at_us > :far_us) as far_batch
from destinations d
left join outbox x on x.destination = d.number and x.batch = (
  select y.batch from outbox y
  where y.destination = d.number and y.due_at_us is not null
  order by y.due_at_us, y.batch
  limit 1
)
where :organization = 0 or d.organization = :organization
order by d.number
