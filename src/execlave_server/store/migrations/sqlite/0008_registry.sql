-- What the SDK reports beside traces, and what an agent is bound to, allowed and held to.

alter table agents add column outcome_strictness text not null default 'standard';

-- Which API key has used which agent: its sockets hear of that agent's status. A pair may stand here twice where two
-- servers noted it at the same moment: a unique index would make them wait for each other.
create table key_agents (
  organization integer not null,
  api_key text not null,
  agent text not null  -- agents.id
) strict;

create index key_agents_by_key on key_agents (api_key, agent);
create index key_agents_by_agent on key_agents (agent, api_key);

-- The last change of each agent's status, numbered within its organization: what a server has not yet pushed.
create table agent_signals (
  agent text primary key,
  organization integer not null,
  number integer not null
) strict, without rowid;

create unique index agent_signals_in_order on agent_signals (organization, number);

create trigger agent_status_signalled after update on agents when old.status is not new.status begin
  insert into agent_signals (agent, organization, number)
  select new.id, new.organization, coalesce(max(number), 0) + 1 from agent_signals where organization = new.organization
  on conflict (agent) do update set number = excluded.number;
end;

-- A window in which the SDK ran without the server's decision, or (`drop`) how many such windows it could not keep.
create table bypass_windows (
  organization integer not null references organizations (number),
  id text not null,  -- the SDK's
  kind text not null,
  api_key text not null,
  agent text,
  reason text not null,
  source text,
  first_at_us integer not null,
  last_at_us integer not null,
  calls integer not null,
  windows integer not null,
  message text,
  status integer,
  consecutive_failures integer,
  sdk text not null,
  received_at_us integer not null,
  primary key (organization, id)
) strict, without rowid;

-- What became known of a trace later. The trace itself never changes, and neither does a resolution.
create table trace_resolutions (
  id text primary key,
  organization integer not null references organizations (number),
  trace_id text not null,
  resolved_status text not null,
  basis text not null,
  effect_ref text,
  acknowledgement_id text,
  detail text,
  observed_at_us integer not null,
  api_key text not null,
  recorded_at_us integer not null
) strict, without rowid;

create index resolutions_of_trace on trace_resolutions (organization, trace_id, recorded_at_us, id);

create trigger resolution_stays before update on trace_resolutions begin
  select raise(abort, 'a resolution is never changed');
end;

create table identity_providers (
  id text primary key,
  organization integer not null references organizations (number),
  tenant_id text not null,
  audience text not null,
  created_at_us integer not null,
  unique (organization, tenant_id, audience)
) strict, without rowid;

create table identity_bindings (
  agent text primary key,
  organization integer not null references organizations (number),
  provider text not null references identity_providers (id),
  subject text not null,
  bound_at_us integer not null,
  unique (provider, subject)
) strict, without rowid;

create table agent_versions (
  id text primary key,
  organization integer not null references organizations (number),
  agent text not null,
  number integer not null,
  label text,
  notes text,
  metadata text not null,
  active integer not null,
  api_key text not null,
  created_at_us integer not null,
  unique (agent, number)
) strict, without rowid;

-- The tool descriptors pinned for an agent, each set kept; the one with the highest number holds.
create table tool_baselines (
  organization integer not null references organizations (number),
  agent text not null,
  number integer not null,
  descriptors text not null,
  reason text not null,
  api_key text not null,
  pinned_at_us integer not null,
  primary key (agent, number)
) strict, without rowid;

-- What one agent may do with another.
create table agent_grants (
  id text primary key,
  organization integer not null references organizations (number),
  caller text not null,
  callee text not null,
  actions text not null,
  expires_at_us integer,
  granted_at_us integer not null,
  unique (caller, callee)
) strict, without rowid;
