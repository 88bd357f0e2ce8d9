#!/usr/bin/env bash
# Feeds the decoders with bytes made to find what they do not expect: fuzz.sh [SECONDS [DECODER…]], 300 s for each of
# fuzz/fuzz_targets unless told. It needs a nightly Rust. What finds something is kept under fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
decoders=("${@:2}")
[ ${#decoders[@]} -gt 0 ] || decoders=($(basename -s .rs fuzz/fuzz_targets/*.rs))
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz
cargo +nightly fuzz build --sanitizer none
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for decoder in "${decoders[@]}"; do
  # Who takes 64 MiB at once, for an input of 16 KiB at most, does so on a stranger's word.
  if cargo +nightly fuzz run --sanitizer none "$decoder" -- -max_total_time="$seconds" -max_len=16384 \
    -malloc_limit_mb=64 -timeout=5 -print_final_stats=1 >"$log" 2>&1; then
    printf '%s: nothing found in %d s and %s inputs, %s MiB\n' "$decoder" "$seconds" \
      "$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")" "$(awk '/^stat::peak_rss_mb/ { print $2 }' "$log")"
  else
    failed=$((failed + 1))
    tail -40 "$log"
    printf 'FAILED: %s\n' "$decoder"
  fi
done
printf '%d decoders, %d with findings\n' ${#decoders[@]} $failed
[ $failed = 0 ]
