-- name: read_meters
select meter, used + reserved from meters
where organization = :organization
  and meter in (select value from jsonb_array_elements_text(cast(:meters as jsonb)) as wanted (value))
