-- Times are integer microseconds since the epoch, UTC, and always the server's own (`occurred_at_ms` is the client's
-- word and nothing but data). Small integers stand for repeated texts: see `labels`.

create table organizations (
  number integer primary key,
  id text not null unique,
  name text not null,
  version integer not null default 1,  -- grows with every change that a decision depends on
  created_at_us integer not null
) strict;

create table api_keys (
  id text primary key,
  organization integer not null references organizations (number),
  name text not null,
  environment text not null,
  role text not null,
  hash blob not null unique,  -- keyed; the key itself is nowhere
  hint text not null,
  created_at_us integer not null,
  revoked_at_us integer
) strict;

create table agents (
  id text primary key,
  organization integer not null references organizations (number),
  agent_id text not null,
  environment text not null,
  name text not null,
  type text not null,
  platform text not null,
  status text not null,
  status_reason text,
  autonomy_level text,
  idp_bound integer not null default 0,
  profile text not null,  -- what else registration said, as JSON
  created_at_us integer not null,
  updated_at_us integer not null,
  last_seen_at_us integer,
  unique (organization, agent_id, environment)
) strict;

create trigger agent_registered after insert on agents begin
  update organizations set version = version + 1 where number = new.organization;
end;

create trigger agent_changed after update on agents
when (old.name, old.status, old.status_reason, old.autonomy_level, old.idp_bound)
  is not (new.name, new.status, new.status_reason, new.autonomy_level, new.idp_bound)
begin
  update organizations set version = version + 1 where number = new.organization;
end;

create trigger api_key_revoked after update on api_keys when old.revoked_at_us is not new.revoked_at_us begin
  update organizations set version = version + 1 where number = new.organization;
end;

-- A text that repeats in traces (an agent, an environment, a span type), stored there as its number.
create table labels (
  number integer primary key,
  organization integer not null,
  kind text not null,
  value text not null,
  unique (organization, kind, value)
) strict;

create table batches (
  id integer primary key autoincrement,
  organization integer not null,
  first_trace integer not null,
  last_trace integer not null,
  trace_count integer not null,
  log_bytes integer not null,
  received_at_us integer not null
) strict;

create table traces (
  id integer primary key,
  bucket integer not null,  -- id >> 14: keeps the unique index's inserts on few pages
  trace_key integer not null,
  span_key integer not null,
  organization integer not null,
  batch integer not null,
  status integer not null,
  span_type integer not null,
  agent integer not null,
  environment integer not null,
  occurred_at_ms integer not null,
  trace_id text not null,
  span_id text not null,
  log blob not null,
  item blob not null
) strict;

create unique index trace_key on traces (bucket, trace_key, span_key);
create index trace_list on traces (organization, id, status, agent, environment, span_type);

create table decisions (
  id text primary key,
  organization integer not null,
  api_key text not null,
  agent text,
  agent_reference text,
  environment text,
  outcome text not null,
  violations text not null,
  action_digest text not null,
  trace_id text,
  decided_at_us integer not null,
  latency_us integer not null
) strict, without rowid;

create table destinations (
  number integer primary key,
  id text not null unique,
  organization integer not null references organizations (number),
  name text not null,
  state text not null,
  state_reason text,
  site text not null,
  sealed_key blob not null,
  key_hint text not null,
  service text not null,
  ddtags text not null,
  tested_at_us integer,
  candidate_site text,
  candidate_sealed_key blob,
  candidate_key_hint text,
  created_at_us integer not null,
  updated_at_us integer not null,
  unique (organization, name)
) strict;

-- One row for each batch and destination: the queue while `due_at_us` is set, the delivery ledger afterwards.
-- A lease sets `leased_at_us`, moves `due_at_us` to its deadline and raises `fence`; a result is written only under the same fence.
create table outbox (
  destination integer not null,
  batch integer not null,
  log_count integer not null,
  committed_at_us integer not null,
  due_at_us integer,
  leased_at_us integer,
  fence integer not null default 0,
  attempts integer not null default 0,
  last_status integer,
  last_answer text,
  delivered_at_us integer,
  primary key (destination, batch)
) strict, without rowid;

create index outbox_due on outbox (destination, due_at_us, batch, log_count) where due_at_us is not null;

-- Secrets of the installation itself, sealed under the key-encryption key.
create table sealed_secrets (
  name text primary key,
  sealed blob not null
) strict, without rowid;

create table installation (
  id text primary key,
  created_at_us integer not null
) strict, without rowid;
