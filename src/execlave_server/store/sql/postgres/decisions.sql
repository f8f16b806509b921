-- name: warned_decisions
select id, agent, agent_reference, trace_id, violations, decided_at_us from decisions
where organization = :organization and outcome = 'warned'
  and id in (select value from jsonb_array_elements_text(cast(:ids as jsonb)) as claimed (value))
union
select id, agent, agent_reference, trace_id, violations, decided_at_us from decisions
where organization = :organization and outcome = 'warned'
  and trace_id in (select value from jsonb_array_elements_text(cast(:trace_ids as jsonb)) as named (value))
order by decided_at_us desc, id
limit cast(:limit as bigint)
