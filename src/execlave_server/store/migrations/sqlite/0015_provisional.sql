-- A log refused alone is parked provisionally until a later one is accepted: a run of such logs holds the destination
-- and waits again, also when the worker that counted them is gone.

alter table parked add column provisional integer not null default 0;
create index parked_provisional on parked (destination) where provisional = 1;
