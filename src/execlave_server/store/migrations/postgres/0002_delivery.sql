-- What SQLite adds here has been part of the start on this engine.
select 1;
