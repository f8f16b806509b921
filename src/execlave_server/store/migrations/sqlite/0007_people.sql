-- People, how they sign in, and the approvals they decide.

create table users (
  id text primary key,
  organization integer not null references organizations (number),
  email text not null,  -- in lower case
  name text not null,
  role text not null,
  password_hash text not null,  -- argon2id, with its parameters
  created_at_us integer not null,
  disabled_at_us integer,
  unique (organization, email)
) strict;

create index user_email on users (email);

create table sessions (
  hash blob primary key,  -- keyed; the token itself is nowhere
  person text not null references users (id),
  created_at_us integer not null,
  expires_at_us integer not null,
  revoked_at_us integer
) strict, without rowid;

create index session_person on sessions (person);
create index session_end on sessions (expires_at_us);

-- How often somebody tried to sign in during a period: an address, an email, or the two together, each as a keyed hash.
create table sign_in_attempts (
  subject blob primary key,
  period integer not null,  -- since the epoch
  attempts integer not null
) strict, without rowid;

-- A person's answer to a decision that asked for one. `status` is pending until decided or swept: see the clock too.
create table approvals (
  id text primary key,
  organization integer not null references organizations (number),
  decision text not null,
  api_key text not null,
  agent text,
  agent_reference text not null,
  environment text,
  requester text,  -- on whose behalf, where the caller said so
  action_digest text not null,
  action_context blob,  -- what is to be approved, as canonical JSON, packed; null where it was erased
  salt blob not null,  -- of the digests in the audit chain
  violations text not null,
  trace_id text,
  tools text not null,
  risk_score integer not null,
  risk_level text not null,
  alerts_unverified integer not null,
  status text not null,
  requested_at_us integer not null,
  expires_at_us integer not null,
  decided_at_us integer,
  decided_by text references users (id),
  decision_reason text,
  certificate_id text,
  certificate text,
  certificate_expires_at_us integer,
  certificate_verified_at_us integer,
  unverified_at_us integer  -- when it was noticed that the certificate ran out unused
) strict;

create index approval_list on approvals (organization, requested_at_us, id);
create index approval_pending on approvals (expires_at_us) where status = 'pending';
create index approval_unverified on approvals (certificate_expires_at_us)
where status = 'approved' and certificate_verified_at_us is null and unverified_at_us is null and alerts_unverified = 1;

create index audit_certificate on audit_entries (organization, subject) where kind = 'certificate.issued';
