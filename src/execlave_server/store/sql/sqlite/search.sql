-- name: search_traces
select id
from traces indexed by trace_list
where organization = :organization and id < :before and id >= :first
  and (:statuses is null or status in (select value from json_each(:statuses)))
  and (:agents is null or agent in (select value from json_each(:agents)))
  and (:environments is null or environment in (select value from json_each(:environments)))
  and (:span_types is null or span_type in (select value from json_each(:span_types)))
order by id desc
limit :limit

-- name: search_floor
select id
from traces indexed by trace_list
where organization = :organization and id < :before and id >= :first
order by id desc
limit 1 offset :entries

-- name: search_logs
select t.id, t.trace_id, t.span_id, t.occurred_at_ms, b.received_at_us, t.log
from json_each(:ids) wanted
cross join traces t on t.id = wanted.value
cross join batches b on b.id = t.batch
where t.organization = :organization and t.id >= :oldest and t.id <= :newest
order by t.id desc

-- name: received_before
select b.received_at_us
from batches b
where b.organization = :organization
  and b.id = (
    select t.batch from traces t indexed by trace_list
    where t.organization = :organization and t.id < :before and t.id >= :first
    order by t.id desc
    limit 1
  )
