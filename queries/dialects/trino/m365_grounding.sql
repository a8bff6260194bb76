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
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/m365_grounding.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), cited AS (
  SELECT
    link.user_id,
    link.session_id,
    COALESCE(NULLIF(request_id, ''), CONCAT(CAST('interaction:' AS VARCHAR), CAST(link.interaction_id AS VARCHAR))) AS turn_key,
    COUNT(DISTINCT REGEXP_REPLACE(link_url, CONCAT('(?s)^(.*?)', '[?&]EntityRepresentationId=[^&#]*'), CONCAT('$1', ''))) AS targets
  FROM ai_interaction_link AS link
  JOIN ai_interaction AS interaction
    ON interaction.user_id = link.user_id
    AND interaction.session_id = link.session_id
    AND interaction.interaction_id = link.interaction_id
  GROUP BY
    link.user_id,
    link.session_id,
    COALESCE(NULLIF(request_id, ''), CONCAT(CAST('interaction:' AS VARCHAR), CAST(link.interaction_id AS VARCHAR)))
), turn AS (
  SELECT
    COALESCE(
      DATE_ADD(
        'DAY',
        -(
          DAY_OF_WEEK(CAST(AT_TIMEZONE(started_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(started_at, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
    ) AS week,
    app,
    responses,
    grounded,
    CASE WHEN context_count > 0 THEN 1 ELSE 0 END AS has_contexts,
    CASE WHEN link_count > 0 THEN 1 ELSE 0 END AS has_links,
    COALESCE(targets, 0) AS targets
  FROM m365_turn
  CROSS JOIN parameter
  LEFT JOIN cited
    ON cited.user_id = m365_turn.user_id
    AND cited.session_id = m365_turn.session_id
    AND cited.turn_key = m365_turn.request_id
  WHERE
    is_system_prompt = 0
    AND (
      from_day IS NULL
      OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
      OR week_start = CAST('1970-01-04' AS DATE)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
), total AS (
  SELECT
    week,
    app,
    COUNT(*) AS turns,
    CAST(SUM(grounded) AS BIGINT) AS grounded,
    CAST(SUM(has_contexts) AS BIGINT) AS turns_with_contexts,
    CAST(SUM(has_links) AS BIGINT) AS turns_with_links,
    COUNT(*) FILTER(WHERE
      responses > 0) AS answers,
    CAST(SUM(targets) AS BIGINT) AS cited_targets
  FROM turn
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
  GROUP BY
    week,
    app
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
  CAST(cited_targets AS DOUBLE) / NULLIF(answers, 0) AS citations_per_answer
FROM total
ORDER BY
  week_start,
  app
