-- name: reusable_bytes
select 0
