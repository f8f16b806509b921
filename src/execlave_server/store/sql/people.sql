-- name: insert_person
insert into users (id, organization, email, name, role, password_hash, created_at_us)
values (:id, :organization, :email, :name, :role, :password_hash, :now_us)
on conflict (organization, email) do nothing
returning id

-- name: people_by_email
select u.id, u.organization, o.id as organization_id, u.email, u.name, u.role, u.created_at_us, u.disabled_at_us,
  u.password_hash
from users u join organizations o on o.number = u.organization
where u.email = :email and (:organization = '' or o.id = :organization)

-- name: find_person
select u.id, u.organization, o.id as organization_id, u.email, u.name, u.role, u.created_at_us, u.disabled_at_us
from users u join organizations o on o.number = u.organization
where u.organization = :organization and u.id = :id

-- name: list_people
select u.id, u.organization, o.id as organization_id, u.email, u.name, u.role, u.created_at_us, u.disabled_at_us
from users u join organizations o on o.number = u.organization
where u.organization = :organization
order by u.email

-- name: disable_person
update users set disabled_at_us = :now_us
where organization = :organization and id = :id and disabled_at_us is null
returning id

-- name: enable_person
update users set disabled_at_us = null
where organization = :organization and id = :id and disabled_at_us is not null
returning id

-- name: set_role
update users set role = :role where organization = :organization and id = :id and role <> :role returning id

-- name: rename_person
update users set name = :name where organization = :organization and id = :id returning id

-- name: another_owner
select id from users
where organization = :organization and role = 'owner' and disabled_at_us is null and id <> :id
order by id
limit 1

-- name: set_password
update users set password_hash = :password_hash where organization = :organization and id = :id returning id

-- name: person_standing
select role, disabled_at_us from users where organization = :organization and id = :person

-- name: insert_session
insert into sessions (hash, person, created_at_us, expires_at_us, last_seen_at_us, address, browser)
select :hash, id, :now_us, :expires_at_us, :now_us, :address, :browser from users
where id = :person and password_hash = :password_hash and disabled_at_us is null
returning person

-- name: session_person
select u.id, u.organization, o.id as organization_id, u.email, u.name, u.role, u.created_at_us, u.disabled_at_us
from sessions s join users u on u.id = s.person join organizations o on o.number = u.organization
where s.hash = :hash and s.revoked_at_us is null and s.expires_at_us > :now_us and u.disabled_at_us is null

-- name: open_session
select s.hash, s.created_at_us as began_at_us, s.expires_at_us, s.last_seen_at_us, u.id, u.organization,
  o.id as organization_id, o.name as organization_name, u.email, u.name, u.role, u.created_at_us, u.disabled_at_us
from sessions s join users u on u.id = s.person join organizations o on o.number = u.organization
where s.hash = :hash and s.revoked_at_us is null and s.expires_at_us > :now_us and u.disabled_at_us is null

-- name: session_seen
update sessions set last_seen_at_us = :now_us where hash = :hash and last_seen_at_us < :now_us

-- name: sessions_of
select hash, created_at_us as began_at_us, expires_at_us, last_seen_at_us, address, browser from sessions
where person = :person and revoked_at_us is null and expires_at_us > :now_us
order by created_at_us desc

-- name: revoke_session_of
update sessions set revoked_at_us = :now_us
where person = :person and hash = :hash and revoked_at_us is null
returning person

-- name: revoke_other_sessions
update sessions set revoked_at_us = :now_us where person = :person and hash <> :hash and revoked_at_us is null

-- name: revoke_session
update sessions set revoked_at_us = :now_us where hash = :hash and revoked_at_us is null

-- name: revoke_sessions_of
update sessions set revoked_at_us = :now_us where person = :person and revoked_at_us is null

-- name: forget_sessions
delete from sessions where expires_at_us < :before_us

-- name: sign_in_attempts
select attempts from sign_in_attempts where subject = :subject and period = :period

-- name: count_sign_in
insert into sign_in_attempts (subject, period, attempts) values (:subject, :period, 1)
on conflict (subject) do update set
  attempts = case when sign_in_attempts.period = excluded.period then sign_in_attempts.attempts + 1 else 1 end,
  period = excluded.period
where sign_in_attempts.period <> excluded.period or sign_in_attempts.attempts < :most
returning attempts

-- name: forgive_sign_in
delete from sign_in_attempts where subject = :subject

-- name: forget_sign_ins
delete from sign_in_attempts where period < :period

-- name: insert_secret_once
insert into sealed_secrets (name, sealed) values (:name, :sealed) on conflict (name) do nothing

-- name: count_users_and_policies
select (select count(*) from users where organization = :organization and disabled_at_us is null),
  (select count(*) from policies where organization = :organization and deleted_at_us is null)
