#!/usr/bin/env bash
# Start a tool in several processes, one per GPU if there are any, on this machine or on several:
#   tools/dist_run.sh PROCESSES TOOL [arguments of the tool]
# On each of several machines set NNODES, NODE_RANK, MASTER_ADDR and, if need be, MASTER_PORT.
set -euo pipefail

processes=$1
tool=$2
shift 2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${MASTER_PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$(dirname "$0")/$tool" --launcher pytorch "$@"
