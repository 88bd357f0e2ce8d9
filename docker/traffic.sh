#!/usr/bin/env bash
# traffic.sh [SECONDS [CLIENTS]]: moves money between ten accounts, through HAProxy, from several clients at once, and
# compares what the servers have then. The password is in MYSQL_PWD.
set -euo pipefail
for_seconds=${1:-10} clients=${2:-6}
# Nodes do not carry TLS; without it MySQL's client has to be told that it may ask for the key its password needs.
if client=$(command -v mariadb); then options=(--skip-ssl); else client=mysql options=(--get-server-public-key); fi

# on HOST STATEMENTS
on() { "$client" --user=root --host="$1" "${options[@]}" --batch --skip-column-names --connect-timeout=5 app -e "$2"; }

on haproxy "CREATE TABLE IF NOT EXISTS account (id INT PRIMARY KEY, balance INT NOT NULL);
  INSERT IGNORE INTO account VALUES (0,100),(1,100),(2,100),(3,100),(4,100),(5,100),(6,100),(7,100),(8,100),(9,100)"

accounts() { on "$1" "SELECT GROUP_CONCAT(balance ORDER BY id), 'sum', SUM(balance) FROM account"; }

# level WHAT: what was committed on one node is on the others a moment later, a definition too.
level() {
  for ((i = 0; i < 100; i++)); do
    if one=$(accounts server1 2>&1) && two=$(accounts server2 2>&1) && three=$(accounts server3 2>&1) &&
      [ "$one" = "$two" ] && [ "$two" = "$three" ]; then
      return
    fi
    sleep 0.1
  done
  printf 'after 10 s the servers differ %s\nserver1: %s\nserver2: %s\nserver3: %s\n' "$1" "$one" "${two-}" "${three-}"
  exit 1
}
level "before the transfers"

transfers() {
  local made=0 again=0 failed=0 from to error
  while [ $SECONDS -lt "$for_seconds" ]; do
    from=$((RANDOM % 10)) to=$((RANDOM % 10))
    if error=$(on haproxy "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = $from;
        UPDATE account SET balance = balance + 1 WHERE id = $to; COMMIT" 2>&1); then
      made=$((made + 1))
    elif [[ $error == *"ERROR 1213"* ]]; then
      again=$((again + 1))
    else
      failed=$((failed + 1))
      printf '%s\n' "$error" >&2
      sleep 0.1
    fi
  done
  printf '%d transfers, %d deadlocks, %d failed\n' $made $again $failed
}

SECONDS=0
for ((i = 0; i < clients; i++)); do transfers & done
wait

level "after the transfers"
printf 'server1: %s\nserver2: %s\nserver3: %s\nall servers are equal\n' "$one" "$two" "$three"
