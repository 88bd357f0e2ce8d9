#!/usr/bin/env bash
# The promise: three processes deliver the same entries in the same order, nothing lost and nothing
# twice, whichever of them is killed and whatever of them loses power.
. "$(dirname "$0")/../lib.sh"
(cd "$ROOT" && cargo build --locked --quiet --example log_node)
cc -shared -fPIC -O -Wall -Werror -o "$SCRATCH/disk.so" "$(dirname "$0")/disk.c" -ldl
export DISK=$SCRATCH/disk.so
LOG_NODE=$(dirname "$TRIREME")/examples/log_node python3 "$(dirname "$0")/drive.py" "$SCRATCH"
