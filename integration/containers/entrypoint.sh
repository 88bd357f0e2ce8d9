#!/usr/bin/env bash
# What the official images' entry points do for a server, as far as docker/compose.yml asks for it: the first start
# makes the data directory, root's accounts, a database, and on MariaDB an account for health checks with a password
# of its own; options go to the server.
set -euo pipefail
data=/var/lib/mysql socket=/tmp/first.sock
server=$(command -v mariadbd || command -v mysqld)
client=$(command -v mariadb || command -v mysql)
if [ "$(id -u)" = 0 ]; then
  install --directory --owner=mysql --group=mysql $data /run/mysqld
  exec setpriv --reuid=mysql --regid=mysql --clear-groups "$0" "$@"
fi
password=${MARIADB_ROOT_PASSWORD:-$MYSQL_ROOT_PASSWORD}
database=${MARIADB_DATABASE:-${MYSQL_DATABASE:-}}
if [ ! -d $data/mysql ]; then
  health=
  case $server in
    */mariadbd)
      mariadb-install-db --datadir=$data --auth-root-authentication-method=normal --skip-test-db >/dev/null
      health="CREATE USER healthcheck@localhost IDENTIFIED BY '$RANDOM$RANDOM';"
      ;;
    *) "$server" --initialize-insecure --datadir=$data ;;
  esac
  "$server" --datadir=$data --socket=$socket --skip-networking "$@" &
  until "$client" --no-defaults -u root -S $socket -e "DO 0" 2>/dev/null; do sleep 0.2; kill -0 $!; done
  "$client" --no-defaults -u root -S $socket <<SQL
    SET sql_log_bin = 0;
    $health
    CREATE USER root@'%' IDENTIFIED BY '$password';
    GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
    ALTER USER root@localhost IDENTIFIED BY '$password';
    SET sql_log_bin = 1;
    ${database:+CREATE DATABASE \`$database\`;}
SQL
  kill $!
  wait $!
fi
exec "$server" --datadir=$data --socket=/tmp/server.sock --bind-address=0.0.0.0 "$@"
