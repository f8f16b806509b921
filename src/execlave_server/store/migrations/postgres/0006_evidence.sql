-- Evidence: what was committed is a leaf of its batch's Merkle tree, the tree's root an entry of the audit chain.

alter table batches add column decision_count bigint not null default 0;
alter table batches add column leaves bytea;  -- 32 bytes each: traces in order, then decisions; null before evidence
alter table batches add column audit_seq bigint;  -- the entry with the root, and its hash
alter table batches add column audit_hash bytea;

alter table traces add column salt bytea;  -- null where it was erased with the content

alter table decisions add column salt bytea;
alter table decisions add column policies text not null default '[]';  -- id, version, mode and rule of each that matched
alter table decisions add column approval text;
alter table decisions add column client text;
alter table decisions add column batch bigint;
alter table decisions add column position bigint;  -- among the batch's decisions, from 0

create index decision_batch on decisions (batch, position) where batch is not null;

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
