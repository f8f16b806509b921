-- What the pages need of people: where a session is used, links by which somebody comes in, when a key was last used.

alter table sessions add column last_seen_at_us integer;
alter table sessions add column address text;
alter table sessions add column browser text;  -- as it calls itself

alter table api_keys add column last_used_at_us integer;  -- noted about once a minute

-- A link that makes one person of an organization, once.
create table invitations (
  id text primary key,
  organization integer not null references organizations (number),
  hash blob not null unique,  -- keyed; the link's token itself is nowhere
  kind text not null,  -- welcome: the first person, an owner; invite: whom an owner invited
  email text,  -- null: whoever has the link says his own
  role text not null,
  created_by text,  -- null: the server
  created_at_us integer not null,
  expires_at_us integer not null,
  used_at_us integer,
  revoked_at_us integer
) strict;

create index invitation_list on invitations (organization, created_at_us);
