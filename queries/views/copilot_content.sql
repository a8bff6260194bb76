-- title: What Copilot produced, by interaction
-- question: Which text belongs to an interaction? One row per file of the newer store, and per interaction of the older one
--   that a file belongs to: there the text is kept beside the interaction.
-- definition: ours
-- tables: payload, msdyn_copilotinteraction
-- parameters: none
-- columns:
--   source_table, event_id, partition_id: the interaction in copilot_activity; partition_id is empty in the older store
--   status: decoded, empty, undecodable, missing, too_large or failed
--   content: the text; null unless decoded
--   prompt_text, response_text: what was asked and answered, where the text is an envelope of both
--   week_start: the UTC week of the interaction's files; filter on it to read fewer of them
-- joins:
--   copilot_activity: copilot_activity.source_table = copilot_content.source_table
--     and copilot_activity.event_id = copilot_content.event_id
--     and coalesce(copilot_activity.partition_id, '') = copilot_content.partition_id
SELECT
  'copilotevent' AS source_table,
  source_id AS event_id,
  source_partitionid AS partition_id,
  status,
  CASE WHEN status = 'decoded' THEN text END AS content,
  prompt_text,
  response_text,
  -- A file's text lies in the week of the row that names the file.
  week_start
FROM payload
WHERE source_table = 'msdyn_copilotevent' AND column_name = 'msdyn_interactiondata'
UNION ALL
SELECT
  'copilotinteraction',
  msdyn_copilotinteractionid,
  '',
  status,
  CASE WHEN status = 'decoded' THEN text END,
  prompt_text,
  response_text,
  msdyn_copilotinteraction.week_start
FROM payload
JOIN msdyn_copilotinteraction ON msdyn_interactiondataid = source_id
WHERE source_table = 'msdyn_copilotinteractiondata' AND column_name = 'msdyn_interactiondata'
