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

accounts() { on "$1" "SELECT GROUP_CONCAT(balance ORDER BY id), 'sum', SUM(balance) FROM account"; }
# What was committed on one node is on the others a moment later.
for ((i = 0; i < 100; i++)); do
  one=$(accounts server1) two=$(accounts server2) three=$(accounts server3)
  [ "$one" != "$two" ] || [ "$two" != "$three" ] || break
  sleep 0.1
done
printf 'server1: %s\nserver2: %s\nserver3: %s\n' "$one" "$two" "$three"
[ "$one" = "$two" ] && [ "$two" = "$three" ] && echo "all servers are equal"
