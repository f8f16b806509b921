-- Evidence: what was committed is a leaf of its batch's Merkle tree, the tree's root an entry of the audit chain.

alter table batches add column decision_count integer not null default 0;
alter table batches add column leaves blob;  -- 32 bytes each: traces in order, then decisions; null before evidence
alter table batches add column audit_seq integer;  -- the entry with the root, and its hash
alter table batches add column audit_hash blob;

alter table traces add column salt blob;  -- null where it was erased with the content

alter table decisions add column salt blob;
alter table decisions add column policies text not null default '[]';  -- id, version, mode and rule of each that matched
alter table decisions add column approval text;
alter table decisions add column client text;
alter table decisions add column batch integer;
alter table decisions add column position integer;  -- among the batch's decisions, from 0

create index decision_batch on decisions (batch, position) where batch is not null;

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
