#!/usr/bin/env bash
# Every test of Trireme: formatting, lints, unit and wire tests, then each promise in its folder
# on real servers, LANES of them side by side. Installs what is missing. Needs Rust and, on Debian, root or sudo.
# CONTAINERS=yes adds the one that starts an engine for containers.
. "$(dirname "$0")/lib.sh"
set +e
cd "$ROOT"
passed=0 failed=0 not_run=0
# verdict CODE SINCE LOG WHAT…: counts; what a failure says comes once more at the end of all. 77 is from what cannot run here.
verdict() {
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
  elif [ "$1" = 77 ]; then
    not_run=$((not_run + 1))
  else
    failed=$((failed + 1))
    { printf '\nFAILED: %s\n' "${*:4}" && { grep -m 1 -A 9 'FAILED' "$3" || tail -n 9 "$3"; } } >>"$SCRATCH/failures"
  fi
  printf -- '-- after %d s\n' $((SECONDS - $2))
}
# check COMMAND…: runs it alone.
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
  verdict $code $since "$log" "$@"
}
declare -A NAME=() SINCE=()
# begin NAME COMMAND…: runs a command beside the others.
begin() {
  timeout 1500 "${@:2}" >"$SCRATCH/$1.log" 2>&1 &
  NAME[$!]=$1 SINCE[$!]=$SECONDS
  PIDS+=($!)
}
# end_one: waits for one of them, gives its output and its verdict.
end_one() {
  local pid code=0
  wait -n -p pid "${!NAME[@]}" || code=$?
  local name=${NAME[$pid]} since=${SINCE[$pid]}
  unset "NAME[$pid]" "SINCE[$pid]"
  printf '\n-- %s\n' "$name"
  cat "$SCRATCH/$name.log"
  verdict $code "$since" "$SCRATCH/$name.log" "$name"
}

begin prepare bash integration/prepare.sh
check cargo fmt --check
check cargo clippy --locked --all-targets -- -D warnings
check cargo test --locked
end_one
check cargo build --locked --bins --examples
# Those that take longest come first.
for name in suites statements definition retention priority crash drivers nemesis retry fidelity sequences isolation sync_wait locks behind \
  package traps commit minority slow page service monitors strangers sandbox connections bursts log rolling capture tls relay check balancer; do
  [ ${#NAME[@]} -lt "${LANES:-3}" ] || end_one
  begin $name bash integration/$name/run.sh
done
while [ ${#NAME[@]} -gt 0 ]; do end_one; done
# It measures: nothing may run beside.
check timeout 600 bash integration/load/run.sh
[ -z "${CONTAINERS:-}" ] || check timeout 1200 bash integration/containers/run.sh
cat "$SCRATCH/failures" 2>/dev/null
printf '\n%d passed, %d failed, %d not run\n' $passed $failed $not_run
[ $failed = 0 ]
