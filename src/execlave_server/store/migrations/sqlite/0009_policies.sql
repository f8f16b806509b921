-- Policies with every version, and what their limits count.

alter table organizations add column policies_version integer not null default 1;  -- grows with every change of a policy

create table policies (
  id text primary key,
  organization integer not null references organizations (number),
  name text not null,
  version integer not null,
  body text not null,  -- JSON as the API shows it, without id and version
  created_at_us integer not null,
  updated_at_us integer not null,
  deleted_at_us integer
) strict;

create unique index policy_name on policies (organization, name) where deleted_at_us is null;

create table policy_versions (
  policy text not null references policies (id),
  version integer not null,
  organization integer not null,
  change text not null,  -- created, changed or deleted
  body text not null,
  changed_by text not null,
  changed_at_us integer not null,
  primary key (policy, version)
) strict;

-- What was counted or spent in one window; `meter` names what, whose and which window. Money is in billionths of a US dollar.
create table meters (
  organization integer not null references organizations (number),
  meter text not null,
  used integer not null,
  reserved integer not null,  -- by decisions whose traces have not come yet
  expires_at_us integer not null,
  primary key (organization, meter)
) strict;

create index meter_expiry on meters (expires_at_us);

-- The cost a decision let go; the trace's own cost replaces it, else it lapses.
create table reservations (
  id text primary key,  -- the decision's
  organization integer not null references organizations (number),
  agent text not null,
  trace_id text,
  amount integer not null,
  meters text not null,  -- JSON, the meters that hold it
  lapses_at_us integer not null
) strict;

create index reservation_agent on reservations (organization, agent, lapses_at_us);
create index reservation_lapse on reservations (lapses_at_us);
