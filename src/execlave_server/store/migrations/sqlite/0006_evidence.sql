-- Evidence: what was committed is a leaf of its batch's Merkle tree, the tree's root an entry of the audit chain.

alter table batches add column decision_count integer not null default 0;
alter table batches add column leaves blob;  -- 32 bytes each: traces in order, then decisions; null before evidence
alter table batches add column audit_seq integer;  -- the entry with the root, and its hash
alter table batches add column audit_hash blob;

alter table traces add column salt blob;  -- null where it was erased with the content
alter table traces add column erased text;  -- the record, once salt and content are gone

alter table decisions add column salt blob;
alter table decisions add column erased text;
alter table decisions add column policies text not null default '[]';  -- id, version, mode and rule of each that matched
alter table decisions add column approval text;
alter table decisions add column client text;
alter table decisions add column batch integer;
alter table decisions add column position integer;  -- among the batch's decisions, from 0

create index decision_batch on decisions (batch, position) where batch is not null;
create index decision_trace on decisions (organization, trace_id) where trace_id is not null;

create table audit_heads (
  organization integer primary key references organizations (number),
  seq integer not null,
  hash blob not null,
  frontier blob not null  -- of the tree over all entries, 32 bytes each
) strict;

insert into audit_heads select number, 0, zeroblob(32), x'' from organizations;

create trigger organization_has_chain after insert on organizations begin
  insert into audit_heads values (new.number, 0, zeroblob(32), x'');
end;

create table audit_entries (
  organization integer not null references organizations (number),
  seq integer not null,
  kind text not null,
  at_us integer not null,
  actor text not null,
  subject text not null,
  details text not null,
  previous blob not null,
  history blob not null,
  hash blob not null,
  primary key (organization, seq)
) strict, without rowid;

create index audit_event on audit_entries (organization, kind, seq) where kind <> 'batch.root';

create trigger audit_entry_stays before update on audit_entries begin
  select raise(abort, 'an entry of the audit chain never changes');
end;

create trigger audit_entry_kept before delete on audit_entries begin
  select raise(abort, 'an entry of the audit chain is never deleted');
end;

create trigger audit_head_moves_on before update on audit_heads when new.seq <= old.seq begin
  select raise(abort, 'an audit chain only grows');
end;

create trigger audit_head_kept before delete on audit_heads begin
  select raise(abort, 'the head of an audit chain is never deleted');
end;

-- What retention may delete, while it does: a sweep writes its range here, deletes, and removes the range again, all in
-- the transaction of its audit entry. A range that is left behind has no row to refer to, so that the commit fails.
create table audit_nothing (id integer primary key) strict;

create table audit_sweeping (
  organization integer not null,
  first_batch integer not null,
  last_batch integer not null,
  closed integer not null default 0 references audit_nothing (id) deferrable initially deferred
) strict;

create trigger trace_stays before update on traces
when not (
  old.erased is null and new.erased is not null and new.salt is null
  and (new.id, new.bucket, new.trace_key, new.span_key, new.organization, new.batch, new.status, new.span_type,
       new.agent, new.environment, new.occurred_at_ms, new.trace_id, new.span_id)
   is (old.id, old.bucket, old.trace_key, old.span_key, old.organization, old.batch, old.status, old.span_type,
       old.agent, old.environment, old.occurred_at_ms, old.trace_id, old.span_id)
)
begin
  select raise(abort, 'a stored trace never changes; erase removes its content only');
end;

create trigger trace_kept before delete on traces
when not exists (
  select 1 from audit_sweeping s
  where s.organization = old.organization and old.batch between s.first_batch and s.last_batch
)
begin
  select raise(abort, 'a trace is only deleted by a sweep');
end;

create trigger decision_stays before update on decisions
when not (
  old.erased is null and new.erased is not null and new.salt is null
  and (new.id, new.organization, new.api_key, new.agent, new.agent_reference, new.environment, new.outcome,
       new.policies, new.approval, new.client, new.trace_id, new.decided_at_us, new.latency_us, new.batch, new.position)
   is (old.id, old.organization, old.api_key, old.agent, old.agent_reference, old.environment, old.outcome,
       old.policies, old.approval, old.client, old.trace_id, old.decided_at_us, old.latency_us, old.batch, old.position)
)
begin
  select raise(abort, 'a decision never changes; erase removes its content only');
end;

create trigger decision_kept before delete on decisions
when not exists (
  select 1 from audit_sweeping s
  where s.organization = old.organization
    and (old.batch is null or old.batch between s.first_batch and s.last_batch)
)
begin
  select raise(abort, 'a decision is only deleted by a sweep');
end;

create trigger batch_stays before update on batches
when not (
  (new.id, new.organization, new.first_trace, new.last_trace, new.trace_count, new.decision_count, new.log_bytes,
   new.leaves, new.audit_seq, new.audit_hash, new.received_at_us)
  is (old.id, old.organization, old.first_trace, old.last_trace, old.trace_count, old.decision_count, old.log_bytes,
   old.leaves, old.audit_seq, old.audit_hash, old.received_at_us)
)
begin
  select raise(abort, 'a batch never changes');
end;

create trigger batch_kept before delete on batches
when not exists (
  select 1 from audit_sweeping s
  where s.organization = old.organization and old.id between s.first_batch and s.last_batch
)
begin
  select raise(abort, 'a batch is only deleted by a sweep');
end;
