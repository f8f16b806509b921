-- name: warned_decisions
select id, agent, agent_reference, trace_id, violations, decided_at_us from decisions
where organization = :organization and outcome = 'warned' and id in (select value from json_each(:ids))
union
select id, agent, agent_reference, trace_id, violations, decided_at_us from decisions
where organization = :organization and outcome = 'warned' and trace_id in (select value from json_each(:trace_ids))
order by decided_at_us desc, id
limit :limit
