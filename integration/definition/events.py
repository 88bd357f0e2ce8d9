"""Events: one node runs them, whoever leads, and each of their turns is on all servers, once."""

import contextlib
import shutil
import subprocess
import time

import pymysql

from cluster import (
    HOSTS, NODES, PORT, define, expect, expect_equal, health, kill, level, node, run, server, start_again, status,
)

LIMIT = 20
# What each run of an event writes down: its turn, and what is true in it.
NOTE = (
    "BEGIN SELECT due INTO @due FROM trireme_private.event_run WHERE event_name = '{0}'; "
    "INSERT INTO seen VALUES (NULL, '{0}', @due, CURRENT_USER(), @@SESSION.time_zone, @@SESSION.sql_mode, DATABASE()); END"
)
SEEN = (
    "CREATE TABLE seen (id INT AUTO_INCREMENT PRIMARY KEY, event VARCHAR(64), due BIGINT, who VARCHAR(99), zone VARCHAR(64), "
    "mode VARCHAR(2000), place VARCHAR(64), UNIQUE (event, due))"
)


def until(what, condition):
    deadline = time.time() + LIMIT
    while not condition():
        if time.time() > deadline:
            raise SystemExit(f"FAILED: {what} does not come")
        time.sleep(0.05)


def turns(event, number=1):
    """The turns for which an event has run."""
    with node(number, autocommit=True) as connection:
        level(connection)
        return [due for due, in run(connection, f"SELECT due FROM events.seen WHERE event = '{event}' ORDER BY due")]


def defined(columns, number=1):
    with server(number) as connection:
        rows = run(connection, f"SELECT event_name, {columns} FROM information_schema.events WHERE event_schema = 'events'")
    return {name: rest for name, *rest in rows}


def leader():
    """The number of the node that leads."""
    for number in NODES:
        with contextlib.suppress(OSError):
            for member in status(number)["members"]:
                if member["role"] == "leader":
                    return int(member["address"].rsplit(":", 1)[1]) - PORT - 200
    return None


def words(box):
    """What the nodes have said of events."""
    said = ""
    for number in NODES:
        with open(f"{box}/node{number}/trireme.log") as file:
            said += "".join(line for line in file if "frontend::scheduler" in line)
    return said


def as_defined():
    """An event runs as its definer, in its own time zone, schema and way of reading, and ends as it says."""
    define(
        "CREATE DATABASE events", "USE events", SEEN,
        "CREATE USER keeper IDENTIFIED BY 'secret'", "GRANT ALL ON events.* TO keeper",
        "GRANT SELECT ON trireme_private.event_run TO keeper",
    )
    with pymysql.connect(host=HOSTS[2], port=PORT + 2, user="keeper", password="secret", database="events", autocommit=True) as connection:
        mariadb = "MariaDB" in run(connection, "SELECT VERSION()")[0][0]
        mode = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"
        run(
            connection, f"SET time_zone = '+05:30', sql_mode = '{mode}'",
            'CREATE EVENT "it`s" ON SCHEDULE EVERY 1 SECOND ENDS NOW() + INTERVAL 3 SECOND DO '
            f"""BEGIN SELECT 1; SELECT 2, 3 FROM "seen"; {NOTE.format("it`s")}; END""",
            f"CREATE EVENT once ON SCHEDULE AT NOW() + INTERVAL 2 SECOND DO {NOTE.format('once')}",
            f"CREATE EVENT kept ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE DO {NOTE.format('kept')}",
            f"CREATE EVENT missed ON SCHEDULE EVERY 1 HOUR STARTS NOW() - INTERVAL 30 MINUTE DO {NOTE.format('missed')}",
            f"CREATE EVENT day ON SCHEDULE EVERY 3 DAY STARTS NOW() + INTERVAL 2 SECOND - INTERVAL 9 DAY DO {NOTE.format('day')}",
            # In the same month of a leap year, or not.
            f"CREATE EVENT month ON SCHEDULE EVERY 16 MONTH STARTS NOW() + INTERVAL 2 SECOND - INTERVAL 48 MONTH DO {NOTE.format('month')}",
            f"CREATE EVENT later ON SCHEDULE EVERY 1 MONTH STARTS NOW() + INTERVAL 1 DAY DO {NOTE.format('later')}",
            "CREATE EVENT statement ON SCHEDULE AT NOW() DO INSERT INTO seen (event, who) VALUES ('statement', CURRENT_USER())",
            f"CREATE EVENT off ON SCHEDULE EVERY 1 SECOND DISABLE DO {NOTE.format('off')}",
        )
        modes = {mode}
        if mariadb:
            run(connection, "SET sql_mode = 'ORACLE'", f"CREATE EVENT oracle ON SCHEDULE AT NOW() DO BEGIN {NOTE.format('oracle')}; END")
            modes.add(run(connection, "SELECT @@SESSION.sql_mode")[0][0])
    finished = {"kept": ["DISABLED", "keeper@%", mode], "off": ["DISABLED", "keeper@%", mode]}
    unfinished = {name: ["ENABLED", "keeper@%", mode] for name in ("day", "month", "missed", "later")}
    for number in NODES:
        until("the end of events", lambda: defined("status, definer, sql_mode", number) == finished | unfinished)
    first, *others = turns("it`s")
    expect("turns of one that ends", others, [first + second for second in (1, 2, 3)])
    expect("turns of those that run once", [len(turns(name)) for name in ("once", "kept")], [1, 1])
    until("turns after days and months", lambda: len(turns("day")) == len(turns("month")) == 1)
    expect("turns of those that are not due", [turns(name) for name in ("missed", "later", "off")], [[], [], []])
    with server(3) as connection:
        found = run(connection, "SELECT DISTINCT who, zone, mode, place FROM events.seen WHERE due > 0")
    expect("what was true in them", set(found), {("keeper@%", "+05:30", mode, "events") for mode in modes})
    with server(1) as connection:
        expect("one statement", run(connection, "SELECT who FROM events.seen WHERE event = 'statement'"), (("keeper@%",),))
    define("ALTER EVENT events.off ENABLE", number=3)
    until("an event that was enabled", lambda: len(turns("off")) > 1)
    define("ALTER EVENT events.off DISABLE")
    print(f"{expect_equal()} tables equal on all servers, after {sum(len(turns(name)) for name in ('it`s', 'once', 'kept', 'day', 'month', 'off'))} runs")


def what_fails(box):
    """An event that fails is said in its node's log; what it has done before an error stays, as on a server, and what a node refuses
    leaves nothing."""
    define(
        "CREATE TABLE events.old (n INT) ENGINE=MyISAM",
        *(
            f"CREATE EVENT events.fails_{name} ON SCHEDULE AT NOW() ON COMPLETION PRESERVE DO "
            f"BEGIN INSERT INTO seen (event) VALUES ('{name}'); {statement}; END"
            for name, statement in (
                ("signal", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'that was to be'"), ("engine", "INSERT INTO old VALUES (1)"),
                ("locks", "DO GET_LOCK('a', 1)"), ("commit", "COMMIT"),
            )
        ),
        "CREATE DEFINER = nobody@nowhere EVENT events.fails_nobody ON SCHEDULE AT NOW() ON COMPLETION PRESERVE DO SET @a = 1",
    )
    reasons = {
        "signal": "that was to be", "engine": "ALTER TABLE events.old ENGINE=InnoDB", "locks": "events.fails_locks uses lock functions",
        "commit": "cannot commit", "nobody": "nobody",
    }
    until("the end of all that fail", lambda: all(defined("status")[f"fails_{name}"] == ["DISABLED"] for name in reasons))
    said = words(box)
    for name, reason in reasons.items():
        found = [line for line in said.splitlines() if f'event="fails_{name}"' in line]
        assert len(found) == 1 and reason in found[0], (name, found)
    with server(1) as connection:
        found = run(connection, "SELECT event FROM events.seen WHERE due IS NULL AND who IS NULL ORDER BY event")
    expect("what was done before", [name for name, in found], ["signal"])
    print(f"{len(reasons)} events failed once, each with its reason")


def ticks(seconds):
    """Whether an event runs for that long without leaving a turn out; gives its turns."""
    before = len(turns("tick"))
    until("a turn", lambda: len(turns("tick")) >= before + seconds)
    return turns("tick")


def whoever_leads(box, sandbox):
    """When the node that leads is killed another one goes on, and no turn is run twice."""
    define(f"CREATE EVENT events.tick ON SCHEDULE EVERY 1 SECOND DO {NOTE.format('tick')}")
    for _ in range(3):
        first = ticks(2)[0]
        killed = leader()
        # As a node leaves it that is killed while an event runs.
        with server(killed) as connection:
            run(connection, "SET sql_log_bin = 0", "CREATE PROCEDURE events.trireme_event_0() DO 0")
        kill(f"{box}/node{killed}/trireme.pid")
        others = [number for number in NODES if number != killed]
        before = len(turns("tick", others[0]))
        until("a turn under another leader", lambda: len(turns("tick", others[0])) > before + 1)
        start_again(sandbox)
        with server(killed, autocommit=True) as connection:
            left = "SELECT 1 FROM information_schema.routines WHERE routine_name = 'trireme_event_0'"
            until("the end of a procedure that was left", lambda: not run(connection, left))
    found = turns("tick")
    left_out = found[-1] - first + 1 - len([due for due in found if due >= first])
    print(f"{len(found)} turns, and {left_out} left out, while three leaders were killed")


def turned_off(box, sandbox):
    """With the setting off no node runs any."""
    kill(*[f"{box}/node{number}/trireme.pid" for number in NODES])
    nodes = []
    for number in NODES:
        file = f"{box}/node{number}/without_events.toml"
        shutil.copy(f"{box}/node{number}/trireme.toml", file)
        with open(file, "a") as config:
            config.write("run_events = false\n")
        nodes.append(subprocess.Popen([sandbox[0], "run", "--config", file], stderr=subprocess.DEVNULL))
    until("the nodes", lambda: all((health(number) or [0])[0] == 200 for number in NODES))
    before = turns("tick")
    time.sleep(3)
    expect("turns of an event while none runs", turns("tick"), before)
    kill(*[f"{box}/node{number}/trireme.pid" for number in NODES])
    start_again(sandbox)
    until("a turn after that", lambda: len(turns("tick")) > len(before))


def nothing_left():
    """Where no event is there is nothing of one: no procedure, and no row that says when it ran."""
    define("DROP DATABASE events", "DROP USER keeper")
    for number in NODES:
        with server(number, autocommit=True) as connection:
            until("an end of rows", lambda: not run(connection, "SELECT * FROM trireme_private.event_run"))
            left = run(connection, "SELECT routine_name FROM information_schema.routines WHERE routine_name LIKE 'trireme%'")
            expect("procedures left", left, ())
    for number in NODES:
        with node(number, autocommit=True) as connection:
            expect("the servers' own schedulers", run(connection, "SELECT @@event_scheduler"), (("OFF",),))
            try:
                run(connection, "SET GLOBAL event_scheduler = ON")
            except pymysql.err.MySQLError as error:
                assert "cluster.run_events" in error.args[1], error
            else:
                raise SystemExit("FAILED: a server's scheduler was turned on")


def events(box, *sandbox):
    as_defined()
    what_fails(box)
    whoever_leads(box, sandbox)
    turned_off(box, sandbox)
    nothing_left()
