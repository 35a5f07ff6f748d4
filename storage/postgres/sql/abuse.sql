-- name: rules
SELECT DISTINCT ON (name) name, version, enabled, action, gate, parameters, clear_after, lifts, updated_at, updated_by
FROM abuse_rule
ORDER BY name, version DESC

-- name: versions
SELECT name, version, enabled, action, gate, parameters, clear_after, lifts, updated_at, updated_by
FROM abuse_rule
WHERE name = $1
ORDER BY version DESC
LIMIT $2

-- name: save_rule
-- Of two that follow the same version one is in time.
INSERT INTO abuse_rule (name, version, enabled, action, gate, parameters, clear_after, lifts, updated_at, updated_by)
SELECT $1::text, $2::integer, $3::boolean, $4::text, $5::smallint, $6::jsonb, $7::integer, $8::boolean,
       $9::timestamptz, $10::uuid
WHERE (SELECT max(version) FROM abuse_rule WHERE name = $1) = $2 - 1
ON CONFLICT DO NOTHING
RETURNING version

-- name: prepare
-- Room for what a look gathers of a million nodes (what does not fit goes to the disk), and plans for
-- these very parameters, not for any. Nothing that is joined here is in order: to sort it takes longer
-- than a hash table, which the planner thinks dear where it knows of no statistics.
SELECT set_config('work_mem', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_mergejoin', 'off', true)

-- name: no_loops
-- How many flags a rule has is known to the planner some time later only: where it takes many for none it
-- would compare each of them with each finding, for hours.
SELECT set_config('enable_nestloop', 'off', true)

-- name: nothing
-- What a rule that is switched off finds.
SELECT NULL::uuid AS user_id, NULL::uuid AS node_id, NULL::text AS subject, NULL::bigint AS weight,
       NULL::jsonb AS evidence
WHERE $1::timestamptz IS NULL AND $2::jsonb IS NULL

-- name: wanted
-- Follows "WITH finding AS (…)": what each node is to be flagged for by rule
-- $3, the gravest cause that was not dismissed. A table, so that the planner knows how many they are.
SELECT DISTINCT ON (f.node_id) f.user_id, f.node_id, f.subject, f.weight, f.evidence
FROM finding f JOIN node n USING (user_id, node_id)
WHERE n.public_key IS NOT NULL AND NOT EXISTS (
    SELECT FROM abuse_flag d
    WHERE d.node_id = f.node_id AND d.rule = $3::text AND d.state = 'dismissed' AND d.subject = f.subject
      AND d.quiet_until > $1::timestamptz AND f.weight <= d.weight * 2)
ORDER BY f.node_id, f.weight DESC, f.subject COLLATE "C"

-- name: index_wanted
CREATE UNIQUE INDEX ON pg_temp.wanted (node_id)

-- name: analyze_wanted
ANALYZE pg_temp.wanted

-- name: judge
-- $2 rule, $3 its version, $4 action, $5 gate, $6 clear_after, $7 lifts, $8 how many may be raised. All
-- parts see the same moment; no row is in two of the updates. The number of a crowd changes all the
-- time: only a twentieth is news, or every look would write all its flags.
WITH raised AS (
    INSERT INTO abuse_flag (flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action,
                            gate, raised_at)
    SELECT time_ordered_id($1::timestamptz), w.user_id, w.node_id, $2::text, $3::integer, w.subject, w.weight,
           w.evidence, $4::text, $5::smallint, $1::timestamptz
    FROM pg_temp.wanted w
    WHERE NOT EXISTS (
        SELECT FROM abuse_flag f WHERE f.node_id = w.node_id AND f.rule = $2::text AND f.state = 'active')
    LIMIT $8::bigint
    ON CONFLICT (node_id, rule) WHERE state = 'active' DO NOTHING
    RETURNING flag_id, action, gate, evidence
), found AS (
    UPDATE abuse_flag f
    SET subject = w.subject, weight = w.weight, evidence = w.evidence, rule_version = $3::integer, gone_since = NULL,
        action = CASE WHEN f.action = 'suspend' THEN f.action ELSE $4::text END,
        gate = CASE WHEN f.action = 'suspend' THEN f.gate ELSE $5::smallint END
    FROM pg_temp.wanted w JOIN abuse_flag former USING (node_id)
    WHERE former.rule = $2::text AND former.state = 'active' AND f.flag_id = former.flag_id AND f.state = 'active'
      AND (f.gone_since IS NOT NULL OR f.rule_version <> $3::integer OR f.subject <> w.subject
           OR (f.weight = w.weight AND f.evidence <> w.evidence) OR abs(f.weight - w.weight) * 20 > f.weight)
    RETURNING f.flag_id, f.action, f.gate, f.evidence,
              f.action <> former.action OR f.gate IS DISTINCT FROM former.gate AS changed
), going AS (
    UPDATE abuse_flag f SET gone_since = $1::timestamptz
    WHERE f.rule = $2::text AND f.state = 'active' AND f.gone_since IS NULL
      AND ($6::integer > 0 OR (f.action = 'suspend' AND NOT $7::boolean))
      AND NOT EXISTS (SELECT FROM pg_temp.wanted w WHERE w.node_id = f.node_id)
), cleared AS (
    UPDATE abuse_flag f
    SET state = 'cleared', ended_at = $1::timestamptz, gone_since = coalesce(f.gone_since, $1::timestamptz)
    WHERE f.rule = $2::text AND f.state = 'active' AND (f.action <> 'suspend' OR $7::boolean)
      AND (f.gone_since <= $1::timestamptz - make_interval(secs => $6::integer) OR $6::integer = 0)
      AND NOT EXISTS (SELECT FROM pg_temp.wanted w WHERE w.node_id = f.node_id)
    RETURNING f.flag_id, f.action, f.gate, f.evidence
), decided AS (
    INSERT INTO abuse_decision (flag_id, at, decision, action, gate, rule_version, evidence)
    SELECT flag_id, $1::timestamptz, 'raised', action, gate, $3::integer, evidence FROM raised
    UNION ALL
    SELECT flag_id, $1::timestamptz, 'changed', action, gate, $3::integer, evidence FROM found WHERE changed
    UNION ALL
    SELECT flag_id, $1::timestamptz, 'cleared', action, gate, $3::integer, evidence FROM cleared
)
SELECT (SELECT count(*) FROM raised) AS raised, (SELECT count(*) FROM found WHERE changed) AS changed,
       (SELECT count(*) FROM cleared) AS cleared

-- name: flags
SELECT flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action, gate, state, raised_at,
       raised_by, gone_since, ended_at, ended_by, note, quiet_until
FROM abuse_flag

-- name: flag
SELECT flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action, gate, state, raised_at,
       raised_by, gone_since, ended_at, ended_by, note, quiet_until
FROM abuse_flag
WHERE flag_id = $1

-- name: decisions
SELECT at, decision, action, gate, rule_version, evidence, actor_id, note FROM abuse_decision
WHERE flag_id = $1
ORDER BY decision_id

-- name: decide
INSERT INTO abuse_decision (flag_id, at, decision, action, gate, rule_version, evidence, actor_id, note)
SELECT flag_id, $2::timestamptz, $3::text, action, gate, rule_version, evidence, $4::uuid, $5::text FROM abuse_flag
WHERE flag_id = ANY($1::uuid[])
ORDER BY flag_id

-- name: dismiss
UPDATE abuse_flag SET state = 'dismissed', ended_at = $2, ended_by = $3, note = $4, quiet_until = $5
WHERE flag_id = $1 AND state = 'active'
RETURNING flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action, gate, state, raised_at,
          raised_by, gone_since, ended_at, ended_by, note, quiet_until

-- name: suspend
INSERT INTO abuse_flag (flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action, raised_at,
                        raised_by, note)
SELECT $1::uuid, user_id, node_id, $3::text, 1, '', 1, jsonb_build_object('note', $6::text), 'suspend',
       $4::timestamptz, $5::uuid, $6::text
FROM node WHERE node_id = $2 AND public_key IS NOT NULL
ON CONFLICT (node_id, rule) WHERE state = 'active' DO NOTHING
RETURNING flag_id

-- name: unsuspend
UPDATE abuse_flag SET state = 'dismissed', ended_at = $2, ended_by = $3, note = $4, quiet_until = $5
WHERE node_id = $1 AND state = 'active' AND action = 'suspend'
RETURNING flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action, gate, state, raised_at,
          raised_by, gone_since, ended_at, ended_by, note, quiet_until

-- name: suspensions
SELECT DISTINCT ON (node_id) flag_id, user_id, node_id, rule, rule_version, subject, weight, evidence, action, gate,
       state, raised_at, raised_by, gone_since, ended_at, ended_by, note, quiet_until
FROM abuse_flag
WHERE node_id = ANY($1::uuid[]) AND state = 'active' AND action = 'suspend'
ORDER BY node_id, flag_id

-- name: unenforced
SELECT s.user_id, s.node_id, each.suspend
FROM (
    SELECT f.node_id, true AS suspend FROM abuse_flag f WHERE f.state = 'active' AND f.action = 'suspend'
    UNION
    SELECT s.node_id, false FROM node_state s
    WHERE s.suspended AND NOT EXISTS (
        SELECT FROM abuse_flag f WHERE f.node_id = s.node_id AND f.state = 'active' AND f.action = 'suspend')
) each JOIN node_state s USING (node_id) JOIN node n USING (user_id, node_id)
WHERE s.suspended <> each.suspend AND n.public_key IS NOT NULL
ORDER BY s.node_id
LIMIT $1

-- name: prune
WITH moves AS (
    DELETE FROM node_move WHERE at_ms < $2 AND coalesce(overlap_to, 0) * 1000 < $2
), flags AS (
    DELETE FROM abuse_flag WHERE ended_at < $1 AND coalesce(quiet_until, ended_at) < $1 RETURNING 1
)
SELECT count(*) FROM flags
