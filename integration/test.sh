#!/usr/bin/env bash
# Every test of Trireme: formatting, lints, unit and wire tests, then each promise in its folder
# on real servers. Installs what is missing. Needs Rust and, on Debian, root or sudo.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0
check() {
  local since=$SECONDS
  printf '\n-- %s\n' "$*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s\n' "$*"; fi
  printf -- '-- after %d s\n' $((SECONDS - since))
}
check cargo fmt --check
check cargo clippy --locked --all-targets -- -D warnings
check cargo test --locked
for promise in integration/*/run.sh; do
  check timeout 300 bash "$promise"
done
printf '\n%d passed, %d failed\n' $passed $failed
[ $failed = 0 ]
