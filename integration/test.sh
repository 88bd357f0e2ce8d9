#!/usr/bin/env bash
# Every test of Trireme: formatting, lints, unit and wire tests, then each promise in its folder
# on real servers. Installs what is missing. Needs Rust and, on Debian, root or sudo.
set -uo pipefail
cd "$(dirname "$0")/.."
beside=$(mktemp -d "${TMPDIR:-/tmp}/trireme.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$beside"' EXIT
passed=0 failed=0
check() {
  local since=$SECONDS
  printf '\n-- %s\n' "$*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s\n' "$*"; fi
  printf -- '-- after %d s\n' $((SECONDS - since))
}
# begin NAME COMMAND…: runs a command beside the others; `end NAME` waits for it and gives its output and its verdict.
declare -A pids
begin() {
  "${@:2}" >"$beside/$1" 2>&1 &
  pids[$1]=$!
}
end() {
  local code=0
  wait "${pids[$1]}" || code=$?
  cat "$beside/$1"
  return $code
}

begin prepare bash integration/prepare.sh
check cargo fmt --check
check cargo clippy --locked --all-targets -- -D warnings
check cargo test --locked
check end prepare
# It waits more than it works. Where speed is measured nothing may run beside.
begin definition timeout 300 bash integration/definition/run.sh
for promise in integration/*/run.sh; do
  [[ $promise =~ /(definition|load)/ ]] || check timeout 300 bash "$promise"
done
check end definition
check timeout 300 bash integration/load/run.sh
printf '\n%d passed, %d failed\n' $passed $failed
[ $failed = 0 ]
