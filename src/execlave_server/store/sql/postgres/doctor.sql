-- name: database_settings
select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit') order by name

-- name: database_tables
select cast(tablename as text) as tablename from pg_tables where schemaname = current_schema() order by tablename

-- name: check_table
select 'ok' where cast(:name as text) is not null
