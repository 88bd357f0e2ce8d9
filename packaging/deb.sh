#!/usr/bin/env bash
# deb.sh [BINARY [DIRECTORY]]: makes a Debian package of the binary (target/release/trireme unless told otherwise), and puts it
# into the directory (target/debian). Says where.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
binary=${1:-$root/target/release/trireme} directory=${2:-$root/target/debian}
[ -x "$binary" ] || { echo "there is no $binary: cargo build --release makes it" >&2; exit 1; }
version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

put() { install -D -m "$1" "$2" "$stage/$3"; }
put 755 "$binary" usr/bin/trireme
strip "$stage/usr/bin/trireme"
put 644 "$root/packaging/trireme.service" usr/lib/systemd/system/trireme.service
# It is to hold passwords; postinst gives it to the node's group.
put 640 "$root/config.example.toml" etc/trireme/trireme.toml
for file in README.md CHANGELOG.md docker/haproxy.cfg packaging/grafana.json; do
  put 644 "$root/$file" "usr/share/doc/trireme/${file##*/}"
done
put 644 "$root/docs/operations.md" usr/share/doc/trireme/operations.md
put 644 "$root/LICENSE" usr/share/doc/trireme/copyright
mkdir -p "$stage"/usr/share/{man/man1,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
"$binary" man "$stage/usr/share/man/man1"
gzip --best --no-name "$stage"/usr/share/man/man1/*
"$binary" completions bash >"$stage/usr/share/bash-completion/completions/trireme"
"$binary" completions zsh >"$stage/usr/share/zsh/vendor-completions/_trireme"
"$binary" completions fish >"$stage/usr/share/fish/vendor_completions.d/trireme.fish"

mkdir "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<END
Package: trireme
Version: $version
Architecture: $architecture
Maintainer: The Trireme authors <trireme@localhost>
Installed-Size: $(du -sk --exclude DEBIAN "$stage" | cut -f1)
Depends: libc6, adduser
Suggests: mariadb-server | mysql-server, haproxy
Section: database
Priority: optional
Description: synchronous multi-master for stock MySQL and MariaDB servers
 A node of Trireme stands beside each server, speaks the MySQL protocol to
 unmodified clients, and brings what commits on one server to all of them,
 in one order, before the client is told that it is committed.
END
echo /etc/trireme/trireme.toml >"$stage/DEBIAN/conffiles"
cat >"$stage/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  adduser --quiet --system --group --no-create-home --home /var/lib/trireme trireme
  chgrp trireme /etc/trireme/trireme.toml
  [ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
END
cat >"$stage/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
# An upgrade leaves the node running: restart nodes one after the other, each when the last is level again.
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now trireme.service; fi
END
cat >"$stage/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
# /var/lib/trireme has this node's copy of the log, without which it is not let into its cluster again: it stays.
if [ "$1" = purge ]; then deluser --quiet --system trireme || true; fi
END
chmod 755 "$stage"/DEBIAN/{postinst,prerm,postrm}
mkdir -p "$directory"
dpkg-deb --root-owner-group --build "$stage" "$directory" >/dev/null
echo "$directory/trireme_${version}_$architecture.deb"
