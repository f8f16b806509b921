-- name: read_meters
select meter, used + reserved from meters
where organization = :organization and meter in (select value from json_each(:meters))
