# Sourced by the scripts of this folder: packages, a scratch directory, servers and nodes in it.
# Everything that is started here ends, and everything that is written here goes, with the script.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TRIREME=${CARGO_TARGET_DIR:-$ROOT/target}/debug/trireme
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/trireme.XXXXXX")
PIDS=()

say() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

finish() {
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$SCRATCH"
}
trap finish EXIT
trap 'exit 130' INT TERM

# install PACKAGE…: Debian packages, those that are missing.
install() {
  local missing=() package sudo=
  for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$SCRATCH/apt.log" 2>&1 ||
    { cat "$SCRATCH/apt.log" >&2; fail "apt-get install ${missing[*]}"; }
}

build() { (cd "$ROOT" && cargo build --locked --quiet); }

# eventually SECONDS COMMAND…: runs the command until it succeeds.
eventually() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# start_mariadb PORT: a stock server with its files in the scratch directory, root without a password.
start_mariadb() {
  local port=$1 dir=$SCRATCH/server$1
  # A temporary directory of its own: a server that starts removes the temporary tables in it.
  mkdir -p "$dir/tmp"
  mariadb-install-db --no-defaults --datadir="$dir/data" --tmpdir="$dir/tmp" --user="$(id -un)" \
    --auth-root-authentication-method=normal --skip-test-db >"$dir/install.log" 2>&1 ||
    { cat "$dir/install.log" >&2; fail "mariadb-install-db"; }
  mariadbd --no-defaults --datadir="$dir/data" --tmpdir="$dir/tmp" --user="$(id -un)" --port="$port" --bind-address=127.0.0.1 \
    --socket="$dir/server.sock" --pid-file="$dir/server.pid" --innodb-buffer-pool-size=64M \
    --max-connections=500 --local-infile=1 --max-allowed-packet=64M >"$dir/server.log" 2>&1 &
  PIDS+=($!)
  eventually 60 mariadb-admin --no-defaults -uroot -h127.0.0.1 -P"$port" ping ||
    { cat "$dir/server.log" >&2; fail "the server on port $port did not start"; }
}

# start_node PORT SERVER_PORT: a node in front of that server; its log is $SCRATCH/nodePORT.log.
start_node() {
  printf '[client]\nlisten = "127.0.0.1:%s"\n[server]\naddress = "127.0.0.1:%s"\n[http]\nlisten = "127.0.0.1:%s"\n' \
    "$1" "$2" $(($1 + 1000)) >"$SCRATCH/node$1.toml"
  "$TRIREME" run --config "$SCRATCH/node$1.toml" 2>"$SCRATCH/node$1.log" &
  PIDS+=($!)
  eventually 10 grep -q 'node started' "$SCRATCH/node$1.log" ||
    { cat "$SCRATCH/node$1.log" >&2; fail "the node on port $1 did not start"; }
}

# sql PORT STATEMENTS: runs them with the stock client, rows without headings.
sql() { mariadb --no-defaults -uroot -h127.0.0.1 -P"$1" --batch --skip-column-names -e "$2"; }
