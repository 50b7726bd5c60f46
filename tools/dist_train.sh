#!/usr/bin/env bash
# Train in several processes: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
set -euo pipefail

if (($# < 2)); then
    sed -n '2s/^# //p' "$0" >&2
    exit 2
fi
exec "$(dirname "$0")/dist_run.sh" "$2" train.py "$1" "${@:3}"
