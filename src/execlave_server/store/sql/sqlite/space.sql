-- name: reusable_bytes
select freelist_count * page_size from pragma_freelist_count cross join pragma_page_size
