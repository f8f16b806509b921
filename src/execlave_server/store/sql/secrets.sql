-- name: insert_secret
insert into sealed_secrets (name, sealed) values (:name, :sealed)

-- name: find_secret
select sealed from sealed_secrets where name = :name

-- name: list_sealed
select 'secret' as kind, name as id, sealed from sealed_secrets
union all
select 'destination' as kind, id, sealed_key as sealed from destinations
union all
select 'candidate' as kind, id, candidate_sealed_key as sealed from destinations
where candidate_sealed_key is not null

-- name: rewrap_secret
update sealed_secrets set sealed = :rewrapped where name = :id and sealed = :sealed

-- name: rewrap_destination
update destinations set sealed_key = :rewrapped where id = :id and sealed_key = :sealed

-- name: rewrap_candidate
update destinations set candidate_sealed_key = :rewrapped where id = :id and candidate_sealed_key = :sealed

-- name: retire_key
insert into retired_keys (id, retired_at_us) values (:key_id, :now_us) on conflict (id) do nothing

-- name: key_is_retired
select 1 from retired_keys where id = :key_id
