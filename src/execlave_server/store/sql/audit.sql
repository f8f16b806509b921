-- name: audit_head
select o.id, h.seq, h.hash, h.frontier
from audit_heads h join organizations o on o.number = h.organization
where h.organization = :organization

-- name: lock_audit_head
select o.id, h.seq, h.hash, h.frontier
from audit_heads h join organizations o on o.number = h.organization
where h.organization = :organization

-- name: move_audit_head
update audit_heads set seq = :seq, hash = :hash, frontier = :frontier where organization = :organization

-- name: insert_audit_entry
insert into audit_entries (organization, seq, kind, at_us, actor, subject, details, previous, history, hash)
values (:organization, :seq, :kind, :at_us, :actor, :subject, :details, :previous, :history, :hash)

-- name: audit_entries
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.seq > :after
order by e.seq
limit :limit

-- name: open_sweep
insert into audit_sweeping (organization, first_batch, last_batch) values (:organization, :first_batch, :last_batch)

-- name: close_sweep
delete from audit_sweeping where organization = :organization

-- name: recorded_roots
select b.id, e.details, case when exists (
    select 1 from audit_entries r
    where r.organization = b.organization and r.seq > b.seq_before and r.seq < b.audit_seq and r.kind = 'batch.root'
  ) then 1 else 0 end as follows_swept
from (
    select id, organization, audit_seq, lag(audit_seq) over (order by id) as seq_before
    from batches
    where +organization = :organization and id >= :first_batch and id <= :last_batch
  ) as b
left join audit_entries e on e.organization = b.organization and e.seq = b.audit_seq
order by b.id


-- name: newest_of_kind
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.kind = :kind and e.kind <> 'batch.root' and e.seq < :before
order by e.seq desc
limit :limit

-- name: newest_entries
select o.id as organization, e.seq, e.kind, e.at_us, e.actor, e.subject, e.details, e.previous, e.history, e.hash
from audit_entries e join organizations o on o.number = e.organization
where e.organization = :organization and e.seq < :before
order by e.seq desc
limit :limit
