-- What operators do: rotate the key-encryption key, replay, look back at the time a destination was disabled.

-- Keys of the key-encryption keyset under which nothing may be sealed any more: what is committed is checked against it.
create table retired_keys (
  id integer primary key,
  retired_at_us integer not null
) strict;

alter table outbox add column replay text;  -- which replay queued it last; one that is resumed passes it over

alter table destinations add column enabled_at_us integer;  -- with `disabled_at_us`: the gap that nobody has filled yet
