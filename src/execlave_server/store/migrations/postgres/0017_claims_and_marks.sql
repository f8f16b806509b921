-- What an agent's next trace may claim is found by itself, however many reservations wait beside it.
create index reservation_unnamed on reservations (organization, agent, lapses_at_us)
  where trace_id is null and approval is null;
drop index reservation_agent;

-- What a committer wrote last, in a transaction that leaves nothing else to know it by: a transaction's number is no
-- proof, since a crash gives it to another.
create table commit_marks (
  committer text primary key,
  mark text not null,
  left_at timestamptz not null default now()
);
