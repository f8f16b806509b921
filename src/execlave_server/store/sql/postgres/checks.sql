-- What a check reads must hold to the end of its transaction, whatever other servers commit. The facts of an
-- organization are held by its advisory lock; rows of their own are locked as they are read.

-- name: destination_revision
select updated_at_us from destinations where organization = :organization and id = :id for no key update

-- name: ledger_unchanged
select fence, parked_count, settled from outbox where destination = :destination and batch = :batch for no key update

-- name: person_standing
select role, disabled_at_us from users where organization = :organization and id = :person for share

-- name: insert_session
insert into sessions (hash, person, created_at_us, expires_at_us)
select :hash, id, :now_us, :expires_at_us from users
where id = :person and password_hash = :password_hash and disabled_at_us is null
for share
returning person
