#!/bin/sh
# Ends with 1 and says why when somebody should look at a lake: `alert.sh --config /etc/copilot-lake/copilot-lake.toml`.
set -eu
status=$(copilot-lake status --quiet --format json "$@")
echo "$status" | jq -r '
  [ (if .problems > 0 then "\(.problems) tables cannot be used" else empty end),
    (if .failed_slices > 0 then "\(.failed_slices) slices failed" else empty end),
    (if .payloads_failed > 0 then "\(.payloads_failed) payloads failed" else empty end),
    (if (.max_age_seconds // 0) > 26 * 3600 then "what was read is \(.max_age_seconds / 3600 | floor) hours old" else empty end) ]
  | if length == 0 then "ok" else join("; ") + "\n" | halt_error(1) end'
