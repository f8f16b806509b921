-- Budget rules, in force with the policies' version.

create table budget_rules (
  id text primary key,
  organization bigint not null references organizations (number),
  version bigint not null,
  terms text not null,  -- JSON as the API takes it
  created_at_us bigint not null,
  updated_at_us bigint not null,
  deleted_at_us bigint
);

create index budget_rule_live on budget_rules (organization, created_at_us, id) where deleted_at_us is null;

-- A trace claims the reservation that names it.
create index reservation_trace on reservations (organization, trace_id) where trace_id is not null;

create trigger budget_rules_change before insert or update on budget_rules
for each row execute function hold_organization_first();
