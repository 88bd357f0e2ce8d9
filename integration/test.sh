#!/usr/bin/env bash
# Every test of Trireme: formatting, lints, unit and wire tests, then each promise in its folder
# on real servers. Installs what is missing. Needs Rust and, on Debian, root or sudo.
. "$(dirname "$0")/lib.sh"
set +e
cd "$ROOT"
passed=0 failed=0
check() {
  local since=$SECONDS
  printf '\n-- %s\n' "$*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s\n' "$*"; fi
  printf -- '-- after %d s\n' $((SECONDS - since))
}
# begin COMMAND…: runs one command beside the others; `end NAME` waits for it, gives its output and its verdict.
begin() { "$@" >"$SCRATCH/beside" 2>&1 & PIDS=($!); }
end() {
  local code=0
  wait "${PIDS[0]}" || code=$?
  PIDS=()
  cat "$SCRATCH/beside"
  return $code
}

begin bash integration/prepare.sh
check cargo fmt --check
check cargo clippy --locked --all-targets -- -D warnings
check cargo test --locked
check end prepare
# It waits more than it works. Where speed is measured nothing may run beside.
begin timeout 300 bash integration/definition/run.sh
for promise in integration/*/run.sh; do
  [[ $promise =~ /(definition|load)/ ]] || check timeout 300 bash "$promise"
done
check end definition
check timeout 300 bash integration/load/run.sh
printf '\n%d passed, %d failed\n' $passed $failed
[ $failed = 0 ]
