#!/usr/bin/env bash
# The promise: three processes deliver the same entries in the same order, nothing lost and nothing
# twice, whichever of them is killed.
. "$(dirname "$0")/../lib.sh"
(cd "$ROOT" && cargo build --locked --quiet --example log_node)
LOG_NODE=$(dirname "$TRIREME")/examples/log_node python3 "$(dirname "$0")/drive.py" "$SCRATCH"
