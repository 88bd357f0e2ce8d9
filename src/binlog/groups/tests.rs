use super::{super::event::tests as events, *};

fn event(kind: Kind, end: u32, body: &[u8]) -> Bytes {
    events::event(kind, end, body).bytes().clone()
}

/// Writes a binlog's events one after the other.
struct Writer {
    groups: Groups,
    end: u64,
}

impl Writer {
    fn new() -> Self {
        let mut groups = Groups::from(place("log.000009", 4));
        let format = event(Kind::FORMAT_DESCRIPTION, 0, b"format");
        assert_eq!(groups.take(format), Ok(None));
        Self { groups, end: 4 }
    }

    fn write(&mut self, kind: Kind, body: &[u8]) -> Result<Option<Group>, CaptureError> {
        let length = event(kind, 0, body).len();
        self.end += length as u64;
        self.groups.take(event(kind, self.end as u32, body))
    }

    fn query(&mut self, sql: &str) -> Result<Option<Group>, CaptureError> {
        self.query_of(0, sql)
    }

    fn query_of(&mut self, connection: u8, sql: &str) -> Result<Option<Group>, CaptureError> {
        self.write(
            Kind::QUERY,
            &[&[connection], &[0; 13][..], sql.as_bytes()].concat(),
        )
    }

    fn goes_on_in(&mut self, file: &str, position: u64) -> Result<Option<Group>, CaptureError> {
        let body = [&position.to_le_bytes(), file.as_bytes()].concat();
        self.groups.take(event(Kind::ROTATE, 0, &body))
    }
}

fn place(file: &str, position: u64) -> Place {
    Place {
        file: file.to_owned(),
        position,
    }
}

const WRITE_ROWS: Kind = Kind(30);
const PREPARE: &[u8] = b"\0\x01\0\0\0\x02\0\0\0\0\0\0\0n1";
const STANDALONE: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const TRANSACTION: &[u8] = &[0; 13];

/// The kinds of the rows of a prepared group.
fn kinds(group: Option<Group>) -> Vec<u8> {
    match group {
        Some(Group::Prepared { rows: Ok(rows), .. }) => {
            rows.iter().map(|row| row.kind().0).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_prepared_transaction_is_its_rows() {
    for (gtid, body, start) in [
        (
            Kind::ANONYMOUS_GTID,
            &b""[..],
            Some("XA START X'6e31',X'',1"),
        ),
        (Kind::GTID, b"", Some("XA START X'6e31',X'',1")),
        (Kind::MARIADB_GTID, TRANSACTION, None),
    ] {
        let mut log = Writer::new();
        assert_eq!(log.write(gtid, body), Ok(None));
        if let Some(start) = start {
            assert_eq!(log.query(start), Ok(None));
        }
        for (kind, body) in [
            (Kind::MARIADB_ANNOTATE_ROWS, b"insert"),
            (Kind::TABLE_MAP, b"table1"),
            (WRITE_ROWS, b"rows 1"),
            (WRITE_ROWS, b"rows 2"),
        ] {
            assert_eq!(log.write(kind, body), Ok(None));
        }
        assert_eq!(log.query("SAVEPOINT `s`"), Ok(None));
        assert_eq!(log.query("XA END X'6e31',X'',1"), Ok(None));
        assert_eq!(log.groups.boundary(), None);
        let group = log.write(Kind::XA_PREPARE, PREPARE).unwrap();
        assert_eq!(kinds(group), [19, 30, 30]);
        let boundary = log.groups.boundary();
        assert_eq!(boundary.map(|place| place.position), Some(log.end));
    }
}

/// The kinds of the events of a direct group.
fn direct(group: Result<Option<Group>, CaptureError>) -> Vec<u8> {
    match group {
        Ok(Some(Group::Direct(Direct { events, .. }))) => {
            events.unwrap().iter().map(|event| event.kind().0).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_groups_are_told_apart() {
    let mut log = Writer::new();
    for (gtid, body) in [
        (Kind::ANONYMOUS_GTID, &b""[..]),
        (Kind::MARIADB_GTID, STANDALONE),
    ] {
        log.write(gtid, body).unwrap();
        assert_eq!(direct(log.query("DROP TABLE t")), [2]);
        log.write(gtid, body).unwrap();
        assert_eq!(
            log.query("XA COMMIT X'6e31',X'',1"),
            Ok(Some(Group::Decided))
        );
        log.write(gtid, body).unwrap();
        log.query("BEGIN").unwrap();
        log.query("CREATE TABLE t (a int) START TRANSACTION")
            .unwrap();
        log.write(Kind::TABLE_MAP, b"table1").unwrap();
        log.write(WRITE_ROWS, b"rows").unwrap();
        assert_eq!(direct(log.write(Kind::XID, b"12345678")), [2, 19, 30]);
    }
    log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
    assert!(direct(log.query("COMMIT")).is_empty());
    log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
    assert_eq!(log.query("ROLLBACK"), Ok(None));
    log.write(Kind::GTID, b"").unwrap();
    let one_phase = [&[1], &PREPARE[1..]].concat();
    assert!(direct(log.write(Kind::XA_PREPARE, &one_phase)).is_empty());
}

#[test]
fn a_direct_group_is_of_its_connection_where_that_is_logged() {
    let connection = |group: Result<Option<Group>, CaptureError>| match group {
        Ok(Some(Group::Direct(direct))) => {
            let own = direct.connection.unwrap_or(9);
            assert_eq!(direct.is_of(own), direct.connection.is_some());
            assert_eq!(direct.is_of(own + 1), own == Direct::SERVER);
            direct.connection
        }
        other => panic!("{other:?}"),
    };
    let mut log = Writer::new();
    log.write(Kind::GTID, b"").unwrap();
    log.query_of(7, "BEGIN").unwrap();
    assert_eq!(connection(log.write(Kind::XID, b"12345678")), Some(7));
    log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
    assert_eq!(connection(log.query_of(8, "COMMIT")), Some(8));
    log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
    assert_eq!(connection(log.write(Kind::XID, b"12345678")), None);
    log.write(Kind::MARIADB_GTID, STANDALONE).unwrap();
    assert_eq!(connection(log.query("DROP TABLE t")), Some(Direct::SERVER));
}

#[test]
fn what_is_not_rows_is_refused_and_the_next_group_is_not() {
    for (kind, body, expected) in [
        (Kind(5), &b"intvar"[..], Refusal::Statement),
        (Kind::QUERY, &[b'\0'; 20], Refusal::Statement),
        (Kind::PARTIAL_UPDATE_ROWS, b"rows", Refusal::PartialRows),
    ] {
        let mut log = Writer::new();
        log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
        log.write(kind, body).unwrap();
        match log.write(Kind::XA_PREPARE, PREPARE).unwrap() {
            Some(Group::Prepared { rows, .. }) => assert_eq!(rows, Err(expected)),
            other => panic!("{other:?}"),
        }
        log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
        let group = log.write(Kind::XA_PREPARE, PREPARE).unwrap();
        assert!(kinds(group).is_empty());
    }
}

#[test]
fn what_a_statement_needs_comes_with_it_and_not_into_a_transaction() {
    let mut log = Writer::new();
    log.write(Kind::MARIADB_GTID, STANDALONE).unwrap();
    log.write(Kind::RAND, b"seeds").unwrap();
    match log.query("CREATE VIEW v AS SELECT RAND()").unwrap() {
        Some(Group::Direct(Direct { events, .. })) => {
            let kinds = events.unwrap().into_iter().map(|event| event.kind());
            assert_eq!(kinds.collect::<Vec<_>>(), [Kind::RAND, Kind::QUERY]);
        }
        other => panic!("{other:?}"),
    }
    for kind in [Kind::RAND, Kind(17)] {
        log.write(Kind::GTID, b"").unwrap();
        log.query("XA START X'78',X'',1").unwrap();
        log.write(kind, b"seeds").unwrap();
        match log.write(Kind::XA_PREPARE, PREPARE).unwrap() {
            Some(Group::Prepared { rows, .. }) => assert_eq!(rows, Err(Refusal::Statement)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_follow_each_other() {
    let mut log = Writer::new();
    // The server names the file and the place that were asked for.
    assert_eq!(log.goes_on_in("log.000009", 4), Ok(None));
    log.write(Kind::MARIADB_GTID, TRANSACTION).unwrap();
    // It crashed within a group.
    assert_eq!(log.goes_on_in("log.000010", 4), Ok(None));
    log.end = 4;
    log.write(Kind::FORMAT_DESCRIPTION, b"format").unwrap();
    log.write(Kind::MARIADB_GTID, STANDALONE).unwrap();
    assert_eq!(direct(log.query("DROP TABLE t")), [2]);
    for (file, position) in [("log.000012", 4), ("other.000011", 4), ("log.000011", 5)] {
        let gap = log.goes_on_in(file, position);
        assert!(matches!(gap, Err(CaptureError::Gap { .. })), "{gap:?}");
    }
}

#[test]
fn a_place_past_4_gib_is_known_by_its_low_half() {
    let mut log = Writer::new();
    log.end = (1 << 32) - 10;
    log.groups = Groups::from(place("log.000009", log.end));
    log.write(Kind::FORMAT_DESCRIPTION, b"format").unwrap();
    assert_eq!(log.groups.place().position, log.end);
    assert!(log.end > 1 << 32);
}

#[test]
fn what_is_not_in_order_is_an_error() {
    let gap = {
        let mut log = Writer::new();
        log.end += 1;
        log.write(Kind::STOP, b"")
    };
    let (place, found) = (place("log.000009", 4), place("log.000009", 5));
    assert_eq!(
        gap,
        Err(CaptureError::Gap {
            place: place.clone(),
            found
        })
    );

    for (kind, expected) in [
        (Kind(99), "not known"),
        (Kind(172), "not known"),
        (Kind(167), "log_bin_compress"),
        (Kind::TRANSACTION_PAYLOAD, "binlog_transaction_compression"),
        (Kind::INCIDENT, "lost"),
        (WRITE_ROWS, "cannot stand there"),
        (Kind::QUERY, "cannot stand there"),
        (Kind::XID, "cannot stand there"),
        (Kind::XA_PREPARE, "cannot stand there"),
    ] {
        let error = Writer::new().write(kind, b"").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    let mut log = Writer::new();
    log.write(Kind::GTID, b"").unwrap();
    let second = log.write(Kind::GTID, b"");
    assert!(matches!(second, Err(CaptureError::Malformed { .. })));

    let mut bytes = event(Kind::STOP, 27, b"").to_vec();
    bytes[0] ^= 1;
    let damaged = Writer::new().groups.take(bytes.into());
    assert!(matches!(damaged, Err(CaptureError::Event { .. })));

    let mut no_format = Groups::from(place);
    let gtid = no_format.take(event(Kind::GTID, 27, b""));
    assert!(matches!(gtid, Err(CaptureError::Malformed { .. })));
}
