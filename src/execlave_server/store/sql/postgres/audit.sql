-- name: lock_audit_head
select o.id, h.seq, h.hash, h.frontier
from audit_heads h join organizations o on o.number = h.organization
where h.organization = :organization
for update of h
