-- name: retire_key
select retire_sealing_key(:key_id, :now_us)
