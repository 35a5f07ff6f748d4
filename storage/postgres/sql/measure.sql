-- name: prepare
-- It is nobody's hurry: one process alone, and no join row by row, whatever is thought of the number of rows.
SELECT set_config('work_mem', '64MB', true), set_config('enable_nestloop', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)

-- name: sum_up
-- What the weights of "measured" in epochs.sql come to, with the same parameters, row by row: who owns a node is
-- not asked for, and nothing is grouped. Where former epochs had a part of the hour, it is all there is, and each
-- node has one row.
SELECT coalesce(sum(h.seconds * coalesce(c.score, $5::integer * coalesce(c.gate, 4) / 4)::bigint), 0) AS availability,
       coalesce(sum(greatest(h.bytes - coalesce(b.bytes, 0), 0)), 0) AS usage
FROM (
    SELECT number, least(bytes_up, 1::bigint << 57) + least(bytes_down, 1::bigint << 57) AS bytes,
           CASE WHEN hour * 3600::bigint >= $3::bigint AND (hour + 1) * 3600::bigint <= $4::bigint THEN seconds
                ELSE seconds_in(confirmed * int4multirange(int4range(
                    greatest(0, $3::bigint - hour * 3600::bigint)::integer,
                    least(3600, $4::bigint - hour * 3600::bigint)::integer))) END AS seconds
    FROM (
        SELECT number, hour, seconds, confirmed, bytes_up, bytes_down
        FROM node_state
        WHERE hour BETWEEN $1::integer AND $2::integer AND NOT suspended
        UNION ALL
        SELECT number, h.hour, h.seconds,
               coalesce(h.confirmed, CASE WHEN h.seconds = 0 THEN '{}'::int4multirange ELSE '{[0,3600)}' END),
               h.bytes_up, h.bytes_down
        FROM node_hour h JOIN node_state s USING (number)
        WHERE h.hour BETWEEN $1::integer AND $2::integer AND NOT s.suspended
    ) h
) h
LEFT JOIN (
    SELECT number, total(bytes) AS bytes FROM epoch_node
    WHERE epoch >= $6::integer AND epoch < $7::integer
    GROUP BY number
) b USING (number)
LEFT JOIN node_score c USING (number)
