-- Evidence: what was committed is a leaf of its batch's Merkle tree, the tree's root an entry of the audit chain.

alter table batches add column decision_count bigint not null default 0;
alter table batches add column leaves bytea;  -- 32 bytes each: traces in order, then decisions; null before evidence
alter table batches add column audit_seq bigint;  -- the entry with the root, and its hash
alter table batches add column audit_hash bytea;

alter table traces add column salt bytea;  -- null where it was erased with the content
alter table traces add column erased text;  -- the record, once salt and content are gone

alter table decisions add column salt bytea;
alter table decisions add column erased text;
alter table decisions add column policies text not null default '[]';  -- id, version, mode and rule of each that matched
alter table decisions add column approval text;
alter table decisions add column client text;
alter table decisions add column batch bigint;
alter table decisions add column position bigint;  -- among the batch's decisions, from 0

create index decision_batch on decisions (batch, position) where batch is not null;
create index decision_trace on decisions (organization, trace_id) where trace_id is not null;

create table audit_heads (
  organization bigint primary key references organizations (number),
  seq bigint not null,
  hash bytea not null,
  frontier bytea not null  -- of the tree over all entries, 32 bytes each
);

insert into audit_heads select number, 0, decode(repeat('00', 32), 'hex'), '' from organizations;

create function begin_chain() returns trigger language plpgsql as $$
begin
  insert into audit_heads values (new.number, 0, decode(repeat('00', 32), 'hex'), '');
  return null;
end
$$;

create trigger organization_has_chain after insert on organizations for each row execute function begin_chain();

create table audit_entries (
  organization bigint not null references organizations (number),
  seq bigint not null,
  kind text not null,
  at_us bigint not null,
  actor text not null,
  subject text not null,
  details text not null,
  previous bytea not null,
  history bytea not null,
  hash bytea not null,
  primary key (organization, seq)
);

create index audit_event on audit_entries (organization, kind, seq) where kind <> 'batch.root';

create function keep_audit() returns trigger language plpgsql as $$
begin
  raise exception 'the audit chain is never changed or deleted';
end
$$;

create trigger audit_entry_stays before update or delete on audit_entries for each row execute function keep_audit();
create trigger audit_head_moves_on before update on audit_heads for each row when (new.seq <= old.seq)
execute function keep_audit();
create trigger audit_head_kept before delete on audit_heads for each row execute function keep_audit();
create trigger audit_entries_kept before truncate on audit_entries for each statement execute function keep_audit();

-- What retention may delete, while it does: a sweep writes its range here, deletes, and removes the range again, all in
-- the transaction of its audit entry. A range that is left behind has no row to refer to, so that the commit fails.
create table audit_nothing (id bigint primary key);

create table audit_sweeping (
  organization bigint not null,
  first_batch bigint not null,
  last_batch bigint not null,
  closed bigint not null default 0 references audit_nothing (id) deferrable initially deferred
);

create function is_swept(of_organization bigint, of_batch bigint) returns boolean language sql stable as $$
  select exists (
    select 1 from audit_sweeping s
    where s.organization = of_organization and (of_batch is null or of_batch between s.first_batch and s.last_batch)
  )
$$;

create function keep_record() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and is_swept(old.organization, old.batch) then
    return old;
  end if;
  raise exception 'a % never changes and is only deleted by a sweep; erase removes its content', tg_argv[0];
end
$$;

create function keep_batch() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and is_swept(old.organization, old.id) then
    return old;
  end if;
  raise exception 'a batch never changes and is only deleted by a sweep';
end
$$;

create function keep_table() returns trigger language plpgsql as $$
begin
  raise exception 'the rows of % are only deleted by a sweep', tg_relid::regclass;
end
$$;

create trigger trace_stays before update on traces for each row
when (
  not (
    old.erased is null and new.erased is not null and new.salt is null
    and (new.id, new.day, new.trace_key, new.span_key, new.organization, new.batch, new.status, new.span_type,
         new.agent, new.environment, new.occurred_at_ms, new.trace_id, new.span_id)
     is not distinct from
        (old.id, old.day, old.trace_key, old.span_key, old.organization, old.batch, old.status, old.span_type,
         old.agent, old.environment, old.occurred_at_ms, old.trace_id, old.span_id)
  )
)
execute function keep_record('trace');

create trigger trace_kept before delete on traces for each row execute function keep_record('trace');
create trigger traces_kept before truncate on traces for each statement execute function keep_table();

create trigger decision_stays before update on decisions for each row
when (
  not (
    old.erased is null and new.erased is not null and new.salt is null
    and (new.id, new.organization, new.api_key, new.agent, new.agent_reference, new.environment, new.outcome,
         new.policies, new.approval, new.client, new.trace_id, new.decided_at_us, new.latency_us, new.batch,
         new.position)
     is not distinct from
        (old.id, old.organization, old.api_key, old.agent, old.agent_reference, old.environment, old.outcome,
         old.policies, old.approval, old.client, old.trace_id, old.decided_at_us, old.latency_us, old.batch,
         old.position)
  )
)
execute function keep_record('decision');

create trigger decision_kept before delete on decisions for each row execute function keep_record('decision');
create trigger decisions_kept before truncate on decisions for each statement execute function keep_table();

create trigger batch_stays before update on batches for each row
when (
  not (
    (new.id, new.organization, new.first_trace, new.last_trace, new.trace_count, new.decision_count, new.log_bytes,
     new.leaves, new.audit_seq, new.audit_hash, new.received_at_us)
    is not distinct from
    (old.id, old.organization, old.first_trace, old.last_trace, old.trace_count, old.decision_count, old.log_bytes,
     old.leaves, old.audit_seq, old.audit_hash, old.received_at_us)
  )
)
execute function keep_batch();

create trigger batch_kept before delete on batches for each row execute function keep_batch();
create trigger batches_kept before truncate on batches for each statement execute function keep_table();
