-- What a check reads must hold to the end of its transaction, whatever other servers commit. The facts of an
-- organization are held by its advisory lock; rows of their own are locked as they are read.

-- name: destination_revision
select updated_at_us from destinations where organization = :organization and id = :id for no key update

-- name: ledger_unchanged
select fence, parked_count, settled from outbox where destination = :destination and batch = :batch for no key update

-- name: sweepable
select count(*)
from (
    select b.id
    from batches b
    where b.organization = :organization
      and (b.received_at_us, b.id) >= (:from_us, :first) and (b.received_at_us, b.id) <= (:to_us, :last)
      and (:forced = 1 or not exists (
        select 1 from destinations d join outbox x on x.destination = d.number and x.batch = b.id
        where d.organization = b.organization and (x.due_at_us is not null or x.parked_count > 0)
      ))
    order by b.id
    for update
  ) as held

-- name: person_standing
select role, disabled_at_us from users where organization = :organization and id = :person for share

-- name: insert_session
insert into sessions (hash, person, created_at_us, expires_at_us, last_seen_at_us, address, browser)
select :hash, id, :now_us, :expires_at_us, :now_us, :address, :browser from users
where id = :person and password_hash = :password_hash and disabled_at_us is null
for share
returning person

-- name: another_owner
select id from users
where organization = :organization and role = 'owner' and disabled_at_us is null and id <> :id
order by id
limit 1
for share
