-- Decisions that let an action go with warnings, found by their trace: its records become flagged_for_review.

create index decision_warned on decisions (organization, trace_id) where outcome = 'warned' and trace_id is not null;
