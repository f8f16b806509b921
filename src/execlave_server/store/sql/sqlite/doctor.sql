-- name: database_settings
select 'journal_mode' as name, journal_mode as setting from pragma_journal_mode

-- name: database_tables
select name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite_%' order by name

-- name: check_table
select quick_check from pragma_quick_check(:name)
