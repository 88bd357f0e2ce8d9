"""Connects in many ways to a server and to the node in front of it; what comes of it must be the same.

Usage: drive.py NODE_PORT FAMILY PART. The server's port is NODE_PORT + 300. MariaDB does not offer TLS here unless FAMILY
is MariaDB-TLS, and a node does so in its place.
"""
import sys
import threading

import pymysql
from pymysql.constants import COMMAND

NODE, FAMILY, PART = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SERVER = NODE + 300
IS_MYSQL = FAMILY == "MySQL"
HAS_TLS = FAMILY != "MariaDB"
TLS = {"ssl": {"check_hostname": False}}
PLUGINS = ["caching_sha2_password"] if IS_MYSQL else ["mysql_native_password", "ed25519"]


def connect(port, user="root", password="", **options):
    return pymysql.connect(host="127.0.0.1", port=port, user=user, password=password, connect_timeout=20, read_timeout=20, **options)


def run(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def outcome(attempt, *arguments, **options):
    """What comes of it: a result, or an error as the server words it."""
    try:
        return attempt(*arguments, **options)
    except pymysql.MySQLError as error:
        return error.args


def forget():
    """The server forgets who has shown it which password: the next login with caching_sha2_password is a whole one."""
    run(connect(SERVER), "FLUSH PRIVILEGES")


def whoami(port, *account, **options):
    forget()
    connection = connect(port, *account, **options)
    cipher = run(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
    return run(connection, "SELECT CURRENT_USER(), DATABASE()"), bool(cipher)


checked = 0


def same(name, attempt, holds):
    """Has the server and the node do the same; `holds` says what must be in what comes of it."""
    global checked
    expected, got = attempt(SERVER), attempt(NODE)
    assert holds in str(expected), f"{name}: the server's own answer lacks {holds}: {expected}"
    assert got == expected, f"{name}: server {expected}, node {got}"
    checked += 1


def accounts():
    root = connect(NODE)
    run(root, "CREATE DATABASE connections")
    for plugin in PLUGINS:
        identified = f"WITH {plugin} BY 'secret'" if IS_MYSQL else f"VIA {plugin} USING PASSWORD('secret')"
        run(root, f"CREATE USER '{plugin}'@'%' IDENTIFIED {identified}")
        run(root, f"GRANT ALL ON connections.* TO '{plugin}'@'%'")
    for user, more in (("ssl", "REQUIRE SSL"), ("x509", "REQUIRE X509"), ("locked", "ACCOUNT LOCK"), ("expired", "PASSWORD EXPIRE"),
                       ("single", "WITH MAX_USER_CONNECTIONS 1")):
        run(root, f"CREATE USER '{user}'@'%' IDENTIFIED BY 'secret' {more}")
    run(root, "CREATE USER peer@'%' IDENTIFIED " + ("WITH auth_socket" if IS_MYSQL else "VIA unix_socket"))


def plain():
    for plugin in PLUGINS:
        same(plugin, lambda port: outcome(whoami, port, plugin, "secret"), f"{plugin}@%")
        same(plugin + ", wrong", lambda port: outcome(whoami, port, plugin, "wrong"), "1045")
        same(plugin + ", empty", lambda port: outcome(whoami, port, plugin), "1045")
    account = (PLUGINS[0], "secret")
    same("a schema", lambda port: outcome(whoami, port, *account, database="connections"), "'connections'")
    same("no such schema", lambda port: outcome(whoami, port, *account, database="nowhere"), "nowhere")
    same("no such account", lambda port: outcome(whoami, port, "nobody", "secret"), "1045")
    same("TLS required", lambda port: outcome(whoami, port, "ssl", "secret"), "1045")
    same("locked", lambda port: outcome(whoami, port, "locked", "secret"), "locked")
    same("expired", lambda port: outcome(whoami, port, "expired", "secret"), "(18")
    same("the user of a process", lambda port: outcome(whoami, port, "peer"), "peer")


def tls():
    """Inside TLS, which a server without leaves to its node: there the server is asked without."""
    def attempt(port, *account, **options):
        encrypted = TLS if HAS_TLS or port == NODE else {}
        return outcome(whoami, port, *account, **encrypted, **options)
    is_encrypted = f", {HAS_TLS})"
    for plugin in PLUGINS:
        same(plugin, lambda port: attempt(port, plugin, "secret"), is_encrypted)
        same(plugin + ", wrong", lambda port: attempt(port, plugin, "wrong"), "1045")
    account = (PLUGINS[0], "secret")
    same("a schema", lambda port: attempt(port, *account, database="connections"), "'connections'")
    same("no such schema", lambda port: attempt(port, *account, database="nowhere"), "nowhere")
    same("TLS required", lambda port: attempt(port, "ssl", "secret"), is_encrypted if HAS_TLS else "1045")
    same("a certificate required", lambda port: attempt(port, "x509", "secret"), "1045")
    same("locked", lambda port: attempt(port, "locked", "secret"), "locked")

    def long_answers(port):
        connection = connect(port, **(TLS if HAS_TLS or port == NODE else {}), max_allowed_packet=1 << 25)
        text = "x" * (1 << 22)
        run(connection, f"SET @text = '{text}'")
        return len(run(connection, "SELECT CONCAT(@text, @text, @text, @text, @text)")[0][0])
    same("packets of several frames", long_answers, str(5 << 22))

    def change_user(port):
        connection = connect(port, **(TLS if HAS_TLS or port == NODE else {}))
        forget()
        user = PLUGINS[0].encode()
        connection.user, connection.password = user, b"secret"
        rest = user + b"\0\0connections\0\x2d\0" + user + b"\0\0"
        connection._execute_command(COMMAND.COM_CHANGE_USER, rest)
        packet = connection._read_packet()
        if packet.is_auth_switch_request():
            packet.read_uint8()
            connection._process_auth(packet.read_string(), packet)
        return run(connection, "SELECT CURRENT_USER(), DATABASE()")
    same("another user", change_user, "'connections'")


def limits():
    root = connect(SERVER)

    def second(port):
        # A server counts a session for a moment after its client has closed it.
        while run(root, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'single'") != ((0,),):
            pass
        with connect(port, "single", "secret"):
            return outcome(whoami, port, "single", "secret")
    same("too many of one account", second, "1226")
    (usual,), = run(root, "SELECT @@GLOBAL.max_connections")

    def many(port):
        held, limited = [], ()
        run(root, "SET GLOBAL max_connections = 20")
        try:
            while len(held) < 30:
                held.append(connect(port, PLUGINS[0], "secret"))
        except pymysql.MySQLError as error:
            limited = error.args
        finally:
            run(root, f"SET GLOBAL max_connections = {usual}")
            for connection in held:
                connection.close()
        return limited
    same("too many at all", many, "1040")


BY_COMMAND = "COM_PROCESS_KILL"


def kill():
    def killed(port, what, **encrypted):
        connection = connect(port, **encrypted)
        said = []
        sleeping = threading.Thread(target=lambda: said.append(outcome(run, connection, "SELECT SLEEP(20) /* killed */")))
        sleeping.start()
        other = connect(port)
        sleeps = f"SELECT COUNT(*) FROM information_schema.processlist WHERE id = {connection.thread_id()} AND info LIKE '%killed%' AND id <> CONNECTION_ID()"
        while run(other, sleeps) != ((1,),):
            pass
        did = ""
        if what == BY_COMMAND:
            did = outcome(other.kill, connection.thread_id())
            if isinstance(did, tuple):
                # There is no such command any more.
                run(other, f"KILL QUERY {connection.thread_id()}")
            else:
                did = "done"
        else:
            run(other, f"KILL {what} {connection.thread_id()}")
        sleeping.join()
        return did, said[0], outcome(run, connection, "SELECT 'goes on'")
    encrypted = TLS if HAS_TLS else {}
    same("KILL QUERY", lambda port: killed(port, "QUERY"), "goes on")
    same("KILL CONNECTION", lambda port: killed(port, "CONNECTION"), "20")
    same(BY_COMMAND, lambda port: killed(port, BY_COMMAND), "")
    same("KILL QUERY inside TLS", lambda port: killed(port, "QUERY", **encrypted), "goes on")
    same("KILL CONNECTION inside TLS", lambda port: killed(port, "CONNECTION", **encrypted), "20")


{"accounts": accounts, "plain": plain, "tls": tls, "limits": limits, "kill": kill}[PART]()
print(f"   {PART}: {checked} alike")
