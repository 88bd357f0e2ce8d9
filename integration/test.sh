#!/usr/bin/env bash
# Every test of Trireme: formatting, lints, unit and wire tests, then each promise in its folder
# on real servers. Installs what is missing. Needs Rust and, on Debian, root or sudo. CONTAINERS=yes adds the one that
# starts an engine for containers.
. "$(dirname "$0")/lib.sh"
set +e
cd "$ROOT"
passed=0 failed=0 not_run=0
# check COMMAND…: runs it; what it says of its failure comes once more at the end of all. 77 is from what cannot run here.
check() {
  local since=$SECONDS log=$SCRATCH/check.log out tee
  printf '\n-- %s\n' "$*"
  exec {out}> >(exec tee "$log")
  tee=$!
  "$@" >&"$out" 2>&1
  local code=$?
  exec {out}>&-
  # All has been written when tee has ended; what was left running may keep it.
  timeout 5 tail --pid=$tee -f /dev/null
  if [ $code = 0 ]; then
    passed=$((passed + 1))
  elif [ $code = 77 ]; then
    not_run=$((not_run + 1))
  else
    failed=$((failed + 1))
    { printf '\nFAILED: %s\n' "$*" && { grep -m 1 -A 9 'FAILED' "$log" || tail -n 9 "$log"; } } >>"$SCRATCH/failures"
  fi
  printf -- '-- after %d s\n' $((SECONDS - since))
}
declare -A BESIDE
# begin NAME COMMAND…: runs a command beside the others; `end NAME` waits for it, gives its output and its verdict.
begin() {
  "${@:2}" >"$SCRATCH/$1.log" 2>&1 &
  BESIDE[$1]=$!
  PIDS+=($!)
}
end() {
  local code=0
  wait "${BESIDE[$1]}" || code=$?
  cat "$SCRATCH/$1.log"
  return $code
}

begin prepare bash integration/prepare.sh
check cargo fmt --check
check cargo clippy --locked --all-targets -- -D warnings
check cargo test --locked
check end prepare
promise() { timeout 600 bash "integration/$1/run.sh"; }
# These take long and are not in a hurry. Where speed or idleness is measured nothing may run beside.
begin definition promise definition
for name in behind bursts capture commit crash; do check promise $name; done
check end definition
begin nemesis promise nemesis
for name in balancer check drivers fidelity log minority monitors page relay rolling service strangers traps; do check promise $name; done
check end nemesis
begin slow promise slow
check promise retention
check end slow
for name in priority sandbox load; do check promise $name; done
[ -z "${CONTAINERS:-}" ] || check timeout 1200 bash integration/containers/run.sh
cat "$SCRATCH/failures" 2>/dev/null
printf '\n%d passed, %d failed, %d not run\n' $passed $failed $not_run
[ $failed = 0 ]
