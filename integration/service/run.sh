#!/usr/bin/env bash
# The promise: a node is a good service: it tells its manager when it is ready and when it stops, its log can be read by
# programs, and what a package needs can be printed.
. "$(dirname "$0")/../lib.sh"
build
install systemd man-db

say "what it tells systemd, and its log as JSON"
/usr/bin/python3 "$(dirname "$0")/notify.py" "$TRIREME" "$SCRATCH" $port

say "its unit"
sed "s,/usr/bin/trireme,$TRIREME,; s,^User=.*,User=root," "$ROOT/packaging/trireme.service" >"$SCRATCH/trireme.service"
told=$(systemd-analyze verify --man=no "$SCRATCH/trireme.service" 2>&1) || fail "$told"
[ -z "$told" ] || fail "$told"

say "completions and manual pages"
"$TRIREME" completions bash >"$SCRATCH/completions"
words=$(bash -c '. "$1"; COMP_WORDS=(trireme sta) COMP_CWORD=1; _trireme trireme sta trireme; echo "${COMPREPLY[*]}"' _ "$SCRATCH/completions")
[ "$words" = status ] || fail "'trireme sta' is completed to '$words'"
mkdir "$SCRATCH/man"
"$TRIREME" man "$SCRATCH/man"
for page in trireme trireme-run trireme-status trireme-sandbox; do
  told=$(man --warnings --encoding=UTF-8 --local-file "$SCRATCH/man/$page.1" 2>&1 >"$SCRATCH/page") || fail "$page: $told"
  [ -z "$told" ] || fail "$page: $told"
  grep -q "^NAME" "$SCRATCH/page" || fail "$page.1 is no manual page"
done
say "service: passed"
