-- title: Usage segments in Microsoft 365 Copilot, by week
-- question: How many people are Power, Habitual, Novice, Low and Non-users? Everybody with a licence, and whoever prompted,
--   is in one segment each week, by the last twelve weeks. Weeks before the twelfth in the lake are missing.
--   The parameters of m365_person_weeks hold too.
-- definition: Viva Insights' usage segments, 12-week rule, of prompts
-- tables: m365_person_weeks
-- parameters:
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   segment: Power User, Habitual User, Novice User, Low User or Non-user
--   people: people in it
--   people_share: people / all people of the week
WITH parameter AS (
  SELECT
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
segment AS (
  SELECT place, segment
  FROM (VALUES
    (1, 'Power User'), (2, 'Habitual User'), (3, 'Novice User'), (4, 'Low User'), (5, 'Non-user')) AS segments(place, segment)
),
counted AS (
  SELECT week_start, m365_person_weeks.segment, count(*) AS people
  FROM m365_person_weeks
  CROSS JOIN parameter
  WHERE m365_person_weeks.segment IS NOT NULL
    AND (from_day IS NULL OR week_start >= from_day)
    AND (to_day IS NULL OR week_start <= to_day)
  GROUP BY week_start, m365_person_weeks.segment
),
week AS (
  SELECT week_start, sum(people) AS all_people
  FROM counted
  GROUP BY week_start
)
SELECT
  week.week_start,
  segment.segment,
  coalesce(people, 0) AS people,
  CAST(coalesce(people, 0) AS DOUBLE) / CAST(all_people AS DOUBLE) AS people_share
FROM week
CROSS JOIN segment
LEFT JOIN counted ON counted.week_start = week.week_start AND counted.segment = segment.segment
ORDER BY week.week_start, place
