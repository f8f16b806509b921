-- Governance events stream beside the traces: each is a log in a batch of its own kind, which has no trace and no decision.

alter table destinations add column events integer not null default 1;  -- whether it gets them

alter table batches add column event_count integer not null default 0;

create index batch_events on batches (organization, id) where event_count > 0;

-- The middle of an event's Datadog log. What it tells is entry `seq` of the organization's audit chain.
create table event_logs (
  batch integer not null,
  position integer not null,  -- in the batch, from 0
  organization integer not null,
  seq integer not null,
  occurred_at_ms integer not null,
  log blob not null,
  primary key (batch, position)
) strict, without rowid;

create trigger event_log_stays before update on event_logs begin
  select raise(abort, 'the log of an event never changes');
end;

create trigger event_log_kept before delete on event_logs
when not exists (
  select 1 from audit_sweeping s
  where s.organization = old.organization and old.batch between s.first_batch and s.last_batch
)
begin
  select raise(abort, 'the log of an event is only deleted by a sweep');
end;

drop trigger batch_stays;
create trigger batch_stays before update on batches
when not (
  (new.id, new.organization, new.first_trace, new.last_trace, new.trace_count, new.decision_count, new.event_count,
   new.log_bytes, new.leaves, new.audit_seq, new.audit_hash, new.received_at_us)
  is (old.id, old.organization, old.first_trace, old.last_trace, old.trace_count, old.decision_count, old.event_count,
   old.log_bytes, old.leaves, old.audit_seq, old.audit_hash, old.received_at_us)
)
begin
  select raise(abort, 'a batch never changes');
end;

-- What the trace of a denied or expired approval says of its action, and whose content it is.
alter table approvals add column parent_span_id text;
alter table approvals add column session_id text;
alter table approvals add column user_id text;

-- Whose approval a reservation waits for: until then it is nobody's but its decision's.
alter table reservations add column approval text;

alter table agents add column status_salt blob;  -- of the reason's digest in the audit chain
alter table agents add column refused_level text;  -- the autonomy level it asked for with its own key, and did not get
