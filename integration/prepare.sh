#!/usr/bin/env bash
# Installs what the tests need and is missing.
. "$(dirname "$0")/lib.sh"
install mariadb-server mariadb-client debootstrap curl haproxy python3 python3-pymysql sysbench prometheus prometheus-mysqld-exporter \
  percona-toolkit mariadb-test chromium chromium-driver fonts-dejavu-core php-cli php-mysql libmariadb-java openjdk-17-jdk-headless
stock_mysql
drivers_of_python
say "prepared"
