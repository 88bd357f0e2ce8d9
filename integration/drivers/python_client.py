"""A Python driver through a node: connect, prepare, write, roll back, and an error by its number.

Usage: python_client.py DRIVER PORT USER TABLE tls|plain. DRIVER is pymysql, MySQLdb, mysql.connector or, through SQLAlchemy, mysql+DRIVER.
Needs the schema `drivers` and the user's password "secret".
"""
import importlib
import ssl
import sys

DRIVER, PORT, USER, TABLE, TLS = sys.argv[1], int(sys.argv[2]), *sys.argv[3:5], sys.argv[5] == "tls"
ROWS = [("10.50", "één"), ("0.25", "日本語"), ("0", None)]


def options(driver):
    """How to connect. A certificate that a node has made itself is not to be verified."""
    common = {"host": "127.0.0.1", "port": PORT, "user": USER, "password": "secret", "database": "drivers"}
    match driver:
        case "pymysql":
            unverified = ssl.create_default_context()
            unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
            return common | ({"ssl": unverified} if TLS else {"ssl_disabled": True})
        case "MySQLdb" | "mysqldb":
            return common | {"charset": "utf8mb4"} | ({"ssl": {"cipher": "HIGH"}} if TLS else {})
        case _:
            # Its extension in C has no way to a server's key but TLS.
            return common | {"ssl_disabled": not TLS, "use_pure": True}


def by_hand(driver):
    module = importlib.import_module(driver)
    connection = module.connect(**options(driver))
    cursor = connection.cursor(prepared=True) if driver == "mysql.connector" else connection.cursor()
    cursor.execute(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(10,2), name VARCHAR(50))")
    cursor.executemany(f"INSERT INTO {TABLE} (n, name) VALUES (%s, %s)", ROWS)
    assert cursor.rowcount == 3, cursor.rowcount
    connection.commit()

    cursor.execute(f"DELETE FROM {TABLE}")
    connection.rollback()
    cursor.execute(f"SELECT SUM(n), COUNT(*), COUNT(name) FROM {TABLE}")
    assert [str(value) for value in cursor.fetchone()] == ["10.75", "3", "2"]
    cursor.execute(f"SELECT name FROM {TABLE} WHERE n = %s", ("0.25",))
    assert list(cursor.fetchall()) == [("日本語",)]

    cursor.execute(f"SELECT MIN(id) FROM {TABLE}")
    least = cursor.fetchone()[0]
    try:
        cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, 1, '')", (least,))
        raise AssertionError("a duplicate key was accepted")
    except module.IntegrityError as error:
        assert error.args[0] == 1062, error
    connection.commit()
    connection.ping()
    connection.close()

    for wrong, number in (("password", 1045), ("database", 1049)):
        try:
            module.connect(**options(driver) | {wrong: "drivers_wrong"})
            raise AssertionError(f"a wrong {wrong} was accepted")
        except module.Error as error:
            assert error.args[0] == number, error


def by_sqlalchemy(url):
    from sqlalchemy import Column, Integer, Numeric, String, create_engine, exc, func, insert, select
    from sqlalchemy.orm import DeclarativeBase, Session

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = TABLE
        id = Column(Integer, primary_key=True)
        n = Column(Numeric(10, 2))
        name = Column(String(50))

    engine = create_engine(f"{url}://", connect_args=options(url.partition("+")[2]))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Row(n=n, name=name) for n, name in ROWS)
        session.commit()
    with Session(engine) as session:
        session.query(Row).delete()
        session.rollback()
        first = session.scalars(select(Row).where(Row.name == "één")).one()
        assert str(first.n) == "10.50" and session.scalar(select(func.count()).select_from(Row)) == 3
        with session.begin_nested():
            first.name = "deux"
            session.flush()
            session.get_nested_transaction().rollback()
        session.expire_all()
        assert first.name == "één"
        try:
            with session.begin_nested():
                session.execute(insert(Row).values(id=first.id, n=1))
            raise AssertionError("a duplicate key was accepted")
        except exc.IntegrityError as error:
            assert error.orig.args[0] == 1062, error
        session.commit()


by_sqlalchemy(DRIVER) if "+" in DRIVER else by_hand(DRIVER)
