-- Governance events stream beside the traces: each is a log in a batch of its own kind, which has no trace and no decision.

alter table destinations add column events bigint not null default 1;  -- whether it gets them

alter table batches add column event_count bigint not null default 0;

create index batch_events on batches (organization, id) where event_count > 0;

-- The middle of an event's Datadog log. What it tells is entry `seq` of the organization's audit chain.
create table event_logs (
  batch bigint not null,
  position bigint not null,  -- in the batch, from 0
  organization bigint not null,
  seq bigint not null,
  occurred_at_ms bigint not null,
  log bytea not null,
  primary key (batch, position)
);

create trigger event_log_stays before update on event_logs for each row execute function keep_record('log of an event');
create trigger event_log_kept before delete on event_logs for each row execute function keep_record('log of an event');
create trigger event_logs_kept before truncate on event_logs for each statement execute function keep_table();

drop trigger batch_stays on batches;
create trigger batch_stays before update on batches for each row
when (
  not (
    (new.id, new.organization, new.first_trace, new.last_trace, new.trace_count, new.decision_count, new.event_count,
     new.log_bytes, new.leaves, new.audit_seq, new.audit_hash, new.received_at_us)
    is not distinct from
    (old.id, old.organization, old.first_trace, old.last_trace, old.trace_count, old.decision_count, old.event_count,
     old.log_bytes, old.leaves, old.audit_seq, old.audit_hash, old.received_at_us)
  )
)
execute function keep_batch();

-- What the trace of a denied or expired approval says of its action, and whose content it is.
alter table approvals add column parent_span_id text;
alter table approvals add column session_id text;
alter table approvals add column user_id text;

-- Whose approval a reservation waits for: until then it is nobody's but its decision's.
alter table reservations add column approval text;

alter table agents add column status_salt bytea;  -- of the reason's digest in the audit chain
alter table agents add column refused_level text;  -- the autonomy level it asked for with its own key, and did not get
