# Sourced by the scripts of this folder: packages, a scratch directory, a sandbox in it.
# Everything that is started here ends, and everything that is written here goes, with the script; a script that has more
# to end says so in a function of its own, `leave`.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# PROFILE=release for what is to be as fast as users have it.
PROFILE=${PROFILE:-dev}
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
TRIREME=$TARGET/${PROFILE/dev/debug}/trireme
# Each promise has 400 ports of its own: they run side by side.
PROMISES=("$ROOT"/integration/*/run.sh)
for port in "${!PROMISES[@]}"; do
  [ "${PROMISES[$port]}" != "$ROOT/integration/$(basename "$(dirname "$0")")/run.sh" ] || break
done
port=$((18000 + 400 * port))
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/trireme.XXXXXX")
BOX=$SCRATCH/box
PLAIN=$SCRATCH/plain
# Debian has its servers there, and not everybody's PATH does.
PATH=$PATH:/usr/sbin
PIDS=()

say() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

finish() {
  local code=$? box
  # What is about to go may say why.
  if [ $code != 0 ]; then
    for log in "$BOX"/node*/trireme.log; do
      [ ! -s "$log" ] || { printf -- '-- the end of %s\n' "${log#"$BOX/"}" && tail -n 8 "$log"; } >&2
    done
  fi
  ! declare -F leave >/dev/null || leave
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  for box in "$BOX" "$PLAIN"; do
    [ ! -d "$box" ] || "$TRIREME" sandbox stop --dir "$box" >/dev/null || true
  done
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

# stock_mysql: sets MYSQL and MYSQLBINLOG to the commands of a stock MySQL 9.7 that shares nothing with the system
# but its kernel.
# Debian carries it in its unstable suite, which is unpacked beside what cargo builds.
stock_mysql() {
  local root=$TARGET/stock-mysql sudo=
  if [ ! -x "$root/usr/sbin/mysqld" ]; then
    install debootstrap
    say "unpacking a stock MySQL"
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo rm -rf "$root"
    $sudo debootstrap --variant=minbase sid "$root" >"$SCRATCH/mysql.log" 2>&1 &&
      { $sudo cp -n /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true; } &&
      $sudo env DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --no-install-recommends \
        mysql-server-core mysql-client-core >>"$SCRATCH/mysql.log" 2>&1 ||
      { tail -20 "$SCRATCH/mysql.log" >&2; fail "debootstrap sid"; }
  fi
  local loader=("$root"/lib*/ld-linux-*.so.*) libraries=("$root"/usr/lib/*-linux-gnu)
  local run="${loader[0]} --library-path ${libraries[0]}:${libraries[0]}/mysql"
  MYSQLBINLOG="$run $root/usr/bin/mysqlbinlog"
  MYSQL="$run $root/usr/sbin/mysqld --basedir=$root/usr"
  MYSQL+=" --lc-messages-dir=$root/usr/share/mysql --plugin-dir=$root/usr/lib/mysql/plugin --secure-file-priv="
}

# drivers_of_python: sets PYTHON to an interpreter that has what requirements.txt lists.
drivers_of_python() {
  local root=$TARGET/python wanted=$ROOT/integration/requirements.txt
  install python3-venv python3-dev gcc pkg-config libmariadb-dev
  if ! cmp -s "$wanted" "$root/requirements.txt"; then
    say "installing drivers of Python"
    /usr/bin/python3 -m venv --clear "$root"
    "$root/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" "$root/"
  fi
  PYTHON=$root/bin/python
}

# on_both_servers [OPTION…]: calls `promise SERVER [OPTION…]` for each kind of server, with the options of its
# sandbox. Servers are started with these.
on_both_servers() {
  promise MariaDB ${1:+--server "mariadbd $*"}
  stock_mysql
  promise MySQL --server "$MYSQL $*"
}

# A server with these may forget in a crash what it has committed in the last second.
LAZY=(--innodb-flush-log-at-trx-commit=0 --sync-binlog=0)

build() { (cd "$ROOT" && cargo build --locked --quiet --profile "$PROFILE"); }

# eventually SECONDS COMMAND…: runs the command until it succeeds.
eventually() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# ended PID: whether a process has no thread left that holds its files; its parent may not have waited for it.
ended() {
  local state
  state=$(grep -E '^(State|Threads):' "/proc/$1/status" 2>/dev/null) || return 0
  [[ $state == *'Z (zombie)'*Threads:$'\t'1 ]]
}

# start_sandbox PORT [OPTION…]: stock servers and nodes with their files in $BOX, as `trireme sandbox` lays them out.
# The command, which also starts again what has been killed, is in SANDBOX afterwards.
start_sandbox() {
  SANDBOX=("$TRIREME" sandbox --dir "$BOX" --port "$1" --detach "${@:2}")
  "${SANDBOX[@]}"
}

stop_sandbox() { "$TRIREME" sandbox stop --dir "$BOX" >/dev/null; rm -rf "$BOX"; }

# start_beside SERVER [OPTION…]: a sandbox of three at $port, and beside it a server alone at $ALONE with its files in $PLAIN, to compare them. The
# options are those of both.
start_beside() {
  say "$1: starting three servers and nodes, and a server alone"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  "$TRIREME" sandbox --dir "$PLAIN" --port $((port + 10)) --nodes 1 --detach "${@:2}" >/dev/null
  ALONE=$((port + 311))
}

stop_beside() {
  "$TRIREME" sandbox stop --dir "$PLAIN" >/dev/null
  rm -rf "$PLAIN"
  stop_sandbox
}

# drive PORT PART [ARGUMENT…]: a part of the promise's drive.py.
drive() {
  PYTHONPATH=$ROOT/integration PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$(dirname "$0")/drive.py" "$@"
}

# sql PORT STATEMENTS: runs them with the stock client, rows without headings.
sql() { mariadb --no-defaults -uroot -h127.0.0.1 -P"$1" --batch --skip-column-names -e "$2"; }
