-- name: search_traces
select id
from traces
where organization = :organization and id < :before and id >= :first
  and (cast(:statuses as jsonb) is null
    or status in (select cast(value as bigint) from jsonb_array_elements_text(cast(:statuses as jsonb)) as one (value)))
  and (cast(:agents as jsonb) is null
    or agent in (select cast(value as bigint) from jsonb_array_elements_text(cast(:agents as jsonb)) as one (value)))
  and (cast(:environments as jsonb) is null or environment in (
    select cast(value as bigint) from jsonb_array_elements_text(cast(:environments as jsonb)) as one (value)))
  and (cast(:span_types as jsonb) is null or span_type in (
    select cast(value as bigint) from jsonb_array_elements_text(cast(:span_types as jsonb)) as one (value)))
order by id desc
limit :limit

-- name: search_logs
-- Ids follow the days but for clocks that were set back, by less than a day.
select t.id, t.trace_id, t.span_id, t.occurred_at_ms, b.received_at_us, t.log
from traces t join batches b on b.id = t.batch
where t.organization = :organization
  and t.id in (select cast(value as bigint) from jsonb_array_elements_text(cast(:ids as jsonb)) as one (value))
  and t.day >= (select min(day) - 1 from traces where id = :oldest)
  and t.day <= (select max(day) + 1 from traces where id = :newest)
order by t.id desc
