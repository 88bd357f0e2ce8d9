# Sourced by run.sh: an engine for containers, and images made of Debian's packages that stand in for the official ones,
# with their paths, users and environment, since not every machine reaches a registry of images.

# Kept between runs, beside what cargo builds.
STAND_INS=$(dirname "$(dirname "$TRIREME")")/stand-ins

# engine: uses the engine of this machine, or starts one that ends with the script; exits with 77 if it cannot.
engine() {
  [ "$(id -u)" = 0 ] || not_run "only root can unpack a Debian for the images"
  install docker.io docker-compose
  docker info >/dev/null 2>&1 && return
  say "starting an engine"
  export DOCKER_HOST=unix://$SCRATCH/docker.sock
  dockerd --data-root "$SCRATCH/images" --exec-root "$SCRATCH/docker" --pidfile "$SCRATCH/docker.pid" \
    -H "$DOCKER_HOST" >"$SCRATCH/dockerd.log" 2>&1 &
  PIDS+=($!)
  eventually 30 docker info || not_run "no engine for containers can be started: $(tail -3 "$SCRATCH/dockerd.log")"
}
not_run() { say "not run: $1"; exit 77; }

# bookworm: unpacks a Debian 12 with what all stand-ins but MySQL's need, once.
bookworm() {
  BOOKWORM=$STAND_INS/bookworm
  [ ! -e "$BOOKWORM.complete" ] || return 0
  say "unpacking a Debian 12"
  install debootstrap
  mkdir -p "$STAND_INS"
  rm -rf "$BOOKWORM"
  debootstrap --variant=minbase bookworm "$BOOKWORM" >"$SCRATCH/bookworm.log" 2>&1 &&
    { cp -n /etc/apt/apt.conf.d/*proxy* "$BOOKWORM/etc/apt/apt.conf.d/" 2>/dev/null || true; } &&
    env DEBIAN_FRONTEND=noninteractive chroot "$BOOKWORM" apt-get install -y -qq --no-install-recommends \
      mariadb-server mariadb-client haproxy gcc libc6-dev >>"$SCRATCH/bookworm.log" 2>&1 ||
    { tail -20 "$SCRATCH/bookworm.log" >&2; fail "debootstrap bookworm"; }
  rm -rf "$BOOKWORM"/var/lib/mysql "$BOOKWORM"/var/cache/apt
  touch "$BOOKWORM.complete"
}

# import IMAGE DIRECTORY: makes an image of a directory.
import() {
  tar --numeric-owner -C "$2" -c --exclude=./proc --exclude=./sys --exclude=./dev . | docker import - "$1" >/dev/null
}

# image NAME OPTION…: makes stand-in/NAME.
image() {
  docker build --tag "stand-in/$1" "${@:2}" >"$SCRATCH/image.log" 2>&1 ||
    { tail -20 "$SCRATCH/image.log" >&2; fail "the image $1"; }
}

# rust: makes stand-in/rust of this machine's Rust and of the crates that it has.
rust() {
  local cargo=${CARGO_HOME:-$HOME/.cargo}
  (cd "$ROOT" && cargo fetch --locked --quiet)
  cat "$cargo/config.toml" >"$SCRATCH/config.toml" 2>/dev/null || true
  cat >"$SCRATCH/Dockerfile" <<'RUST'
FROM stand-in/bookworm
COPY bin /usr/local/bin
COPY lib /usr/local/lib
COPY registry /root/.cargo/registry
COPY config.toml /root/.cargo/
ENV CARGO_NET_OFFLINE=true
RUST
  tar -c -C "$SCRATCH" Dockerfile config.toml -C "$(rustc --print sysroot)" bin lib -C "$cargo" registry |
    image rust -
}

# stand_ins: sets what docker/compose.yml takes from the environment, but for the servers' image.
stand_ins() {
  bookworm
  stock_mysql
  say "making images"
  import stand-in/bookworm "$BOOKWORM"
  import stand-in/sid "$(dirname "$STAND_INS")/stock-mysql"
  for name in mariadb mysql haproxy; do image $name --target $name "$(dirname "$0")"; done
  rust
  export NODE_IMAGE=stand-in/node BUILD_IMAGE=stand-in/rust RUN_IMAGE=stand-in/bookworm HAPROXY_IMAGE=stand-in/haproxy
}
