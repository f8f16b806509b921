-- Policies with every version, and what their limits count.

alter table organizations add column policies_version bigint not null default 1;  -- grows with every change of a policy

create table policies (
  id text primary key,
  organization bigint not null references organizations (number),
  name text not null,
  version bigint not null,
  body text not null,  -- JSON as the API shows it, without id and version
  created_at_us bigint not null,
  updated_at_us bigint not null,
  deleted_at_us bigint
);

create unique index policy_name on policies (organization, name) where deleted_at_us is null;

create function hold_organization_first() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(1163412801, cast(new.organization as integer));
  return new;
end
$$;

create trigger policies_change before insert or update on policies for each row execute function hold_organization_first();

create table policy_versions (
  policy text not null references policies (id),
  version bigint not null,
  organization bigint not null,
  change text not null,  -- created, changed or deleted
  body text not null,
  changed_by text not null,
  changed_at_us bigint not null,
  primary key (policy, version)
);

-- What was counted or spent in one window; `meter` names what, whose and which window. Money is in billionths of a US dollar.
create table meters (
  organization bigint not null references organizations (number),
  meter text not null,
  used bigint not null,
  reserved bigint not null,  -- by decisions whose traces have not come yet
  expires_at_us bigint not null,
  primary key (organization, meter)
);

create index meter_expiry on meters (expires_at_us);

-- The cost a decision let go; the trace's own cost replaces it, else it lapses.
create table reservations (
  id text primary key,  -- the decision's
  organization bigint not null references organizations (number),
  agent text not null,
  trace_id text,
  amount bigint not null,
  meters text not null,  -- JSON, the meters that hold it
  lapses_at_us bigint not null
);

create index reservation_agent on reservations (organization, agent, lapses_at_us);
create index reservation_lapse on reservations (lapses_at_us);
