-- What operators do: rotate the key-encryption key, replay, look back at the time a destination was disabled.

-- Keys of the key-encryption keyset under which nothing may be sealed any more: what is committed is checked against it.
create table retired_keys (
  id bigint primary key,
  retired_at_us bigint not null
);

alter table outbox add column replay text;  -- which replay queued it last; one that is resumed passes it over

alter table destinations add column enabled_at_us bigint;  -- with `disabled_at_us`: the gap that nobody has filled yet

-- Waits for every transaction that has read which keys are retired: none of them can store what a retired key sealed
-- after the rotation has looked for it.
create function retire_sealing_key(key_id bigint, now_us bigint) returns void language plpgsql as $$
begin
  lock table retired_keys in access exclusive mode;
  insert into retired_keys (id, retired_at_us) values (key_id, now_us) on conflict (id) do nothing;
end
$$;
