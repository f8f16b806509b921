-- What retention removed: what is in no table but in a range here was swept, everything else that is not there is missing.
-- A row is one unbroken range of one organization's batches, in order of (received_at_us, id), that one sweep removed; or,
-- with no batches, the decisions it removed that were of no batch.
create table sweeps (
  sweep text not null,
  organization bigint not null,
  first_batch bigint not null,  -- 0 for decisions
  last_batch bigint not null,
  batches bigint not null,
  traces bigint not null,
  decisions bigint not null,
  last_trace bigint not null,  -- the highest id removed: ids go on behind it
  received_from_us bigint not null,
  received_to_us bigint not null,
  forced bigint not null,
  swept_at_us bigint not null,
  primary key (sweep, organization, first_batch)
);

create index sweep_last_trace on sweeps (last_trace);
create index batch_age on batches (organization, received_at_us, id);
create index decision_age on decisions (organization, decided_at_us, id);

-- The partitions of days before a time that hold nothing any more; how many went.
create function drop_swept_partitions(before_us bigint) returns bigint language plpgsql as $$
declare
  partition_name text;
  dropped bigint := 0;
  filled boolean;
begin
  set local lock_timeout = '2s';
  for partition_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'traces'::regclass
      and cast(substring(c.relname from '^traces_([0-9]+)$') as bigint) < before_us / 86400000000
  loop
    execute format('select exists (select 1 from %I)', partition_name) into filled;
    if not filled then
      execute format('drop table %I', partition_name);
      dropped := dropped + 1;
    end if;
  end loop;
  return dropped;
end
$$;
