#!/usr/bin/env bash
# The promise: the Debian package installs what a node needs, keeps its secrets, and goes without a trace but the node's data.
. "$(dirname "$0")/../lib.sh"
build
install adduser man-db
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
# Whoever has it on this machine keeps it.
! dpkg-query -W trireme >/dev/null 2>&1 || { say "a package of trireme is installed here: not tried"; exit 77; }
leave() { $sudo dpkg --purge trireme >/dev/null 2>&1 || true; }

say "making it"
package=$("$ROOT/packaging/deb.sh" "$TRIREME" "$SCRATCH")
dpkg-deb --info "$package" | grep -E '^ (Package|Version|Architecture|Installed-Size):'

say "installing it"
$sudo dpkg --install "$package" >"$SCRATCH/dpkg.log" 2>&1 || { cat "$SCRATCH/dpkg.log" >&2; fail "dpkg --install"; }
[ "$(/usr/bin/trireme --version)" = "$("$TRIREME" --version)" ] || fail "another version"
for file in lib/systemd/system/trireme.service share/man/man1/trireme-run.1.gz share/bash-completion/completions/trireme share/doc/trireme/grafana.json; do
  [ -s "/usr/$file" ] || fail "/usr/$file is missing"
done
[ "$(stat -c '%a %U:%G' /etc/trireme/trireme.toml)" = "640 root:trireme" ] || fail "its configuration: $(stat -c '%a %U:%G' /etc/trireme/trireme.toml)"
id trireme >/dev/null || fail "there is no user for it"
# As it is, it says what has to be decided.
! $sudo /usr/bin/trireme check --config /etc/trireme/trireme.toml 2>"$SCRATCH/said" || fail "its configuration is ready"
grep -q 'cluster.tls' "$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "it does not say what to decide"; }

say "removing it"
$sudo dpkg --purge trireme >"$SCRATCH/dpkg.log" 2>&1 || { cat "$SCRATCH/dpkg.log" >&2; fail "dpkg --purge"; }
for file in /usr/bin/trireme /etc/trireme /usr/share/doc/trireme; do
  [ ! -e $file ] || fail "$file is left"
done
! id trireme 2>/dev/null || fail "its user is left"
say "package: passed"
