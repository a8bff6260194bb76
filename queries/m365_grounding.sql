-- title: Grounding of Microsoft 365 Copilot, by week and app
-- question: How often does Copilot work with people's own files, mails and meetings? A turn is grounded if prompt or answer
--   has a context or a link: contexts can be on either side only. A link's target counts once per turn, whatever kinds of
--   link lead there.
-- definition: ours
-- tables: m365_turn, ai_interaction, ai_interaction_link
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   app: where the turn took place
--   turns: prompts with their answers, without those that programs made
--   grounded: of these, those with a context or a link
--   grounded_share: grounded / turns
--   turns_with_contexts, turns_with_links: of turns, each
--   answers: turns with an answer
--   cited_targets: distinct link targets per turn, added up
--   citations_per_answer: cited_targets / answers
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
cited AS (
  SELECT
    link.user_id,
    link.session_id,
    coalesce(nullif(request_id, ''), 'interaction:' || link.interaction_id) AS turn_key,
    -- One target is linked as an event and as a meeting, say.
    count(DISTINCT regexp_replace(link_url, '[?&]EntityRepresentationId=[^&#]*', '')) AS targets
  FROM ai_interaction_link AS link
  JOIN ai_interaction AS interaction
    ON interaction.user_id = link.user_id
    AND interaction.session_id = link.session_id
    AND interaction.interaction_id = link.interaction_id
  GROUP BY link.user_id, link.session_id, coalesce(nullif(request_id, ''), 'interaction:' || link.interaction_id)
),
turn AS (
  SELECT
    coalesce(week_of(started_at, tz, first_day), lake_week(week_start, first_day)) AS week,
    app,
    responses,
    grounded,
    CASE WHEN context_count > 0 THEN 1 ELSE 0 END AS has_contexts,
    CASE WHEN link_count > 0 THEN 1 ELSE 0 END AS has_links,
    coalesce(targets, 0) AS targets
  FROM m365_turn
  CROSS JOIN parameter
  LEFT JOIN cited
    ON cited.user_id = m365_turn.user_id
    AND cited.session_id = m365_turn.session_id
    AND cited.turn_key = m365_turn.request_id
  WHERE is_system_prompt = 0
    -- Files of weeks that cannot have such rows are not read; a turn may have a row without a time, too.
    AND (from_day IS NULL OR week_start >= from_day - 15 OR week_start = DATE '1970-01-04')
    AND (to_day IS NULL OR week_start <= to_day + 15)
),
total AS (
  SELECT
    week,
    app,
    count(*) AS turns,
    CAST(sum(grounded) AS BIGINT) AS grounded,
    CAST(sum(has_contexts) AS BIGINT) AS turns_with_contexts,
    CAST(sum(has_links) AS BIGINT) AS turns_with_links,
    count(*) FILTER (WHERE responses > 0) AS answers,
    CAST(sum(targets) AS BIGINT) AS cited_targets
  FROM turn
  CROSS JOIN parameter
  WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
  GROUP BY week, app
)
SELECT
  week AS week_start,
  app,
  turns,
  grounded,
  CAST(grounded AS DOUBLE) / turns AS grounded_share,
  turns_with_contexts,
  turns_with_links,
  answers,
  cited_targets,
  CAST(cited_targets AS DOUBLE) / nullif(answers, 0) AS citations_per_answer
FROM total
ORDER BY week_start, app NULLS LAST
