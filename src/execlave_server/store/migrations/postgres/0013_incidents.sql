-- Incidents: violations grouped by agent and policy, and what people did about them.

create table incidents (
  id text primary key,
  organization bigint not null references organizations (number),
  agent text,  -- agents.id, where it is registered
  agent_reference text not null,  -- as traces name it
  agent_name text not null,
  environment text not null,
  policy text not null,  -- empty where no policy of this server decided
  policy_name text not null,
  severity text not null,
  state text not null,  -- open, acknowledged or resolved
  opened_by text not null,
  opening_trace bigint,  -- traces.id of the violation that opened it by itself; null where a person did
  opened_at_us bigint not null,
  first_seen_us bigint not null,
  last_seen_us bigint not null,
  violations bigint not null,
  assignee text references users (id),
  resolved_at_us bigint,
  resolution text,
  version bigint not null default 1,  -- grows with every step; the number of the newest one
  salt bytea not null  -- of the digests in the audit chain
);

create unique index incident_opens_once on incidents (organization, opening_trace) where opening_trace is not null;
create index incident_list on incidents (organization, opened_at_us, id);
create index incident_seen on incidents (organization, last_seen_us);
create index incident_unresolved on incidents (organization, opened_at_us, id) where state <> 'resolved';

-- What happened, in order: appended, never changed.
create table incident_steps (
  incident text not null references incidents (id),
  number bigint not null,
  organization bigint not null,
  kind text not null,
  at_us bigint not null,
  actor text not null,
  text text,  -- a person's words
  violations bigint not null default 0,  -- how many were added
  assignee text,
  primary key (incident, number)
);

create function keep_incident_step() returns trigger language plpgsql as $$
begin
  raise exception 'a step of an incident is never changed or deleted';
end
$$;

create trigger incident_step_stays before update or delete on incident_steps for each row
execute function keep_incident_step();
create trigger incident_steps_kept before truncate on incident_steps for each statement
execute function keep_incident_step();

-- The first traces of each incident; `incidents.violations` counts them all. A trace may have been swept since.
create table incident_traces (
  incident text not null references incidents (id),
  trace bigint not null,  -- traces.id
  organization bigint not null,
  trace_id text not null,
  span_id text not null,
  status text not null,
  received_at_us bigint not null,
  primary key (incident, trace)
);

create index incidents_of_trace on incident_traces (organization, trace_id);

-- Up to which entry of its audit chain each organization's batches were looked through for violations.
create table incident_positions (
  organization bigint primary key references organizations (number),
  seq bigint not null
);

insert into incident_positions select organization, seq from audit_heads;  -- history opens no incidents
