-- What an agent's next trace may claim is found by itself, however many reservations wait beside it.
create index reservation_unnamed on reservations (organization, agent, lapses_at_us)
  where trace_id is null and approval is null;
drop index reservation_agent;
