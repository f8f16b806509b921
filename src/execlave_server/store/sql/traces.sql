-- name: insert_batch
insert into batches (id, organization, first_trace, last_trace, trace_count, decision_count, event_count,
  log_bytes, leaves, audit_seq, audit_hash, received_at_us, collectors)
values (:id, :organization, :first_trace, :last_trace, :trace_count, :decision_count, :event_count, :log_bytes, :leaves,
  :audit_seq, :audit_hash, :now_us,
  coalesce((
    select ',' || string_agg(cast(number as text), ',') || ','
    from destinations
    where organization = :organization and state in ('enabled', 'held')
      and (cast(:trace_count as bigint) > 0 or (cast(:event_count as bigint) > 0 and events = 1))
  ), ''))

-- name: insert_outbox
insert into outbox (destination, batch, log_count, committed_at_us, due_at_us)
select d.number, :batch, :log_count, :now_us, :now_us
from destinations d join batches b on b.id = :batch
where d.organization = :organization and b.collectors like '%,' || cast(d.number as text) || ',%'

-- name: takes_events
select 1 from destinations where organization = :organization and state <> 'draft' and events = 1 limit 1

-- name: insert_event_log
insert into event_logs (batch, position, organization, seq, occurred_at_ms, log)
values (:batch, :position, :organization, :seq, :occurred_at_ms, :log)

-- name: count_traces
select cast(coalesce(sum(trace_count), 0) as bigint) from batches where organization = :organization
