-- What retention removed: what is in no table but in a range here was swept, everything else that is not there is missing.
-- A row is one unbroken range of one organization's batches, in order of (received_at_us, id), that one sweep removed; or,
-- with no batches, the decisions it removed that were of no batch.
create table sweeps (
  sweep text not null,
  organization integer not null,
  first_batch integer not null,  -- 0 for decisions
  last_batch integer not null,
  batches integer not null,
  traces integer not null,
  decisions integer not null,
  last_trace integer not null,  -- the highest id removed: ids go on behind it
  received_from_us integer not null,
  received_to_us integer not null,
  forced integer not null,
  swept_at_us integer not null,
  primary key (sweep, organization, first_batch)
) strict, without rowid;

create index sweep_last_trace on sweeps (last_trace);
create index batch_age on batches (organization, received_at_us, id);
create index decision_age on decisions (organization, decided_at_us, id);
