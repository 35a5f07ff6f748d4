-- name: save_moves
INSERT INTO node_move (user_id, node_id, from_connection, to_connection, left_ms, at_ms, from_address,
                       to_address, from_subnet, to_subnet, from_country, to_country, km)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::integer[])
ON CONFLICT DO NOTHING

-- name: save_overlaps
UPDATE node_move m SET overlap_to = greatest(m.overlap_to, o.end_s)
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS o (node_id, connection_id, end_s)
WHERE m.node_id = o.node_id AND m.from_connection = o.connection_id AND o.end_s * 1000 > m.at_ms
  AND o.end_s > coalesce(m.overlap_to, 0)
