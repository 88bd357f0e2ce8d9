use super::{Mode::*, *};
use crate::{binlog::written_event, write_set::Table};

const INSERT: u8 = 30;
const UPDATE: u8 = 31;
const DELETE: u8 = 32;

/// A table map of the table `s.<name>` with the columns `a INT, b VARCHAR(9), c INT`.
fn map(id: u8, name: &str) -> Event {
    let mut body = vec![id, 0, 0, 0, 0, 0, 0, 0, 1, b's', 0, name.len() as u8];
    body.extend(name.as_bytes());
    body.extend(b"\0\x03\x03\x0f\x03\x02\x09\0\x07\x04\x06\x01a\x01b\x01c");
    written_event(Kind::TABLE_MAP, 0, &body)
}

type Row = (u8, &'static str, Option<u8>);

fn rows(kind: u8, id: u8, rows: &[Row]) -> Event {
    let mut body = vec![id, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 7];
    body.extend((kind == UPDATE).then_some(7));
    for (a, b, c) in rows {
        body.extend([if c.is_none() { 4 } else { 0 }, *a, 0, 0, 0, b.len() as u8]);
        body.extend(b.as_bytes());
        body.extend(c.iter().flat_map(|c| [*c, 0, 0, 0]));
    }
    written_event(Kind(kind), 0, &body)
}

fn unique(columns: &[&str]) -> KeyColumns {
    KeyColumns {
        columns: columns.iter().map(|name| KeyColumn::from(*name)).collect(),
        ..KeyColumns::default()
    }
}

fn primary(columns: &[&str]) -> KeyColumns {
    KeyColumns {
        is_primary: true,
        ..unique(columns)
    }
}

fn draft(events: &[Event], tables: &[(&str, &Table)]) -> Result<Draft, KeysError> {
    let tables = tables
        .iter()
        .map(|(name, table)| (TableName::new("s", name), Table::clone(table).into()));
    Draft::of(events, &tables.collect())
}

/// The modes of the keys that two transactions share, where each has written these rows.
fn shared(table: &Table, one: (u8, &[Row]), other: (u8, &[Row])) -> Vec<(Mode, Mode)> {
    let keys = |(kind, changed): (u8, &[Row])| {
        let events = [map(1, "t"), rows(kind, 1, changed)];
        draft(&events, &[("t", table)])
            .unwrap()
            .finish(&Weights::new())
    };
    let (one, other) = (keys(one), keys(other));
    let same = |key: &Key| other.iter().find(|other| other.hash == key.hash).copied();
    one.iter()
        .filter_map(|key| Some((key.mode, same(key)?.mode)))
        .collect()
}

#[test]
fn rows_share_the_keys_that_they_have_in_common() {
    let table = Table {
        keys: vec![primary(&["a"]), unique(&["b", "c"])],
        ..Table::default()
    };
    let one = |row: Row| [row];
    for (name, first, second, expected) in [
        (
            "other rows",
            (INSERT, &one((1, "x", Some(1)))[..]),
            (INSERT, &one((2, "y", Some(1)))[..]),
            vec![],
        ),
        (
            "the primary key",
            (INSERT, &[(1, "x", Some(1))]),
            (INSERT, &[(1, "y", Some(1))]),
            vec![(Exclusive, Exclusive)],
        ),
        (
            "a unique key",
            (INSERT, &[(1, "x", Some(1))]),
            (INSERT, &[(2, "x", Some(1))]),
            vec![(Exclusive, Exclusive)],
        ),
        (
            "no unique key with NULL",
            (INSERT, &[(1, "x", None)]),
            (INSERT, &[(2, "x", None)]),
            vec![],
        ),
        (
            "two values that move",
            (UPDATE, &[(1, "x", Some(1)), (1, "y", Some(1))]),
            (UPDATE, &[(2, "y", Some(1)), (2, "z", Some(1))]),
            vec![(Exclusive, Exclusive)],
        ),
        (
            "a removed one",
            (DELETE, &[(1, "x", Some(1))]),
            (INSERT, &[(2, "x", Some(1))]),
            vec![(Exclusive, Exclusive)],
        ),
    ] {
        assert_eq!(shared(&table, first, second), expected, "{name}");
    }
    let table = Table {
        keys: vec![primary(&["a"])],
        ..Table::default()
    };
    let update = (UPDATE, &[(1, "x", Some(1)), (1, "y", Some(1))][..]);
    let delete = (DELETE, &[(1, "x", Some(1))][..]);
    assert_eq!(shared(&table, update, delete), [(Update, Exclusive)]);
    let moved = (UPDATE, &[(1, "x", Some(1)), (2, "x", Some(1))][..]);
    let inserted = (INSERT, &[(2, "z", None)][..]);
    assert_eq!(shared(&table, moved, inserted), [(Exclusive, Exclusive)]);
}

#[test]
fn a_row_without_primary_key_is_known_by_the_whole_of_it() {
    let table = Table::default();
    let row = (1, "x", None);
    let both = shared(&table, (DELETE, &[row]), (UPDATE, &[row, (2, "x", None)]));
    assert_eq!(both, [(Exclusive, Exclusive)]);
    let other = shared(&table, (DELETE, &[row]), (DELETE, &[(1, "", None)]));
    assert_eq!(other, []);
    assert_eq!(shared(&table, (INSERT, &[row]), (INSERT, &[row])), []);
}

#[test]
fn computed_keys_stand_for_all_values() {
    let computed = KeyColumns {
        is_computed: true,
        ..unique(&["d"])
    };
    let table = Table {
        keys: vec![primary(&["a"]), computed],
        ..Table::default()
    };
    let both = shared(
        &table,
        (INSERT, &[(1, "x", None)]),
        (INSERT, &[(2, "y", None)]),
    );
    assert_eq!(both, [(Exclusive, Exclusive)]);
}

#[test]
fn character_values_are_left_to_the_server() {
    let column = |name: &str, character_set: &str| Collation {
        character_set: character_set.to_owned(),
        name: name.to_owned(),
    };
    let table = |collation: &Collation, prefix| Table {
        keys: vec![KeyColumns {
            columns: vec![KeyColumn {
                name: "b".to_owned(),
                prefix,
            }],
            is_primary: true,
            ..KeyColumns::default()
        }],
        collations: HashMap::from([("b".to_owned(), collation.clone())]),
        ..Table::default()
    };
    let of = |table: &Table, value: &'static str| {
        let events = [map(1, "t"), rows(INSERT, 1, &[(1, value, None)])];
        draft(&events, &[("t", table)]).unwrap()
    };
    let general = column("utf8mb4_general_ci", "utf8mb4");
    let asked = of(&table(&general, Some(2)), "aBc");
    let text = Text {
        collation: general.clone(),
        prefix: Some(2),
        bytes: b"aBc".to_vec(),
    };
    assert_eq!(asked.texts().collect::<Vec<_>>(), [&text]);
    let weights = Weights::from([(text, b"AB".to_vec())]);
    let other = of(&table(&general, Some(2)), "ab");
    let text = other.texts().next().unwrap().clone();
    assert_eq!(text.prefix, None);
    let same = other.finish(&Weights::from([(text, b"AB".to_vec())]));
    assert_eq!(asked.finish(&weights), same);

    let ascii = table(&column("ascii_bin", "ascii"), None);
    let (padded, plain) = (of(&ascii, "a  "), of(&ascii, "a"));
    assert_eq!(padded, plain, "binary but for trailing spaces");
    assert_eq!(plain.texts().count(), 0);
    for (collation, prefix) in [("ascii_bin", Some(9)), ("ucs2_bin", None)] {
        let character_set = collation.trim_end_matches("_bin");
        let table = table(&column(collation, character_set), prefix);
        assert_eq!(of(&table, "a").texts().count(), 1, "{collation}");
    }
}

#[test]
fn children_depend_on_their_parents() {
    let parent = Table {
        keys: vec![KeyColumns {
            is_referenced: true,
            ..primary(&["a"])
        }],
        on_delete: vec![TableName::new("s", "c")],
        reached: vec![TableName::new("s", "c")],
        ..Table::default()
    };
    let child = Table {
        keys: vec![primary(&["a"])],
        foreign_keys: vec![ForeignKey {
            columns: vec!["c".to_owned()],
            parent: TableName::new("s", "p"),
            parent_columns: vec![KeyColumn::from("a")],
            cascades: true,
            parent_is_reached: false,
        }],
        ..Table::default()
    };
    let keys = |events: &[Event]| {
        let draft = draft(events, &[("p", &parent), ("c", &child)]).unwrap();
        draft.finish(&Weights::new())
    };
    let modes = |one: &[Key], other: &[Key]| {
        let same = |key: &Key| other.iter().find(|other| other.hash == key.hash).copied();
        let shared = one
            .iter()
            .filter_map(|key| Some((key.mode, same(key)?.mode)));
        let mut shared: Vec<_> = shared.collect();
        shared.sort();
        shared
    };
    let of_child = |kind, changed: &[Row]| keys(&[map(2, "c"), rows(kind, 2, changed)]);
    let of_parent =
        |kind, changed: &[Row]| keys(&[map(1, "p"), map(2, "c"), rows(kind, 1, changed)]);
    let inserted = of_child(INSERT, &[(7, "", Some(5))]);
    // The parent's row, and the child as a whole, which a cascade reaches without a trace.
    let removed = of_parent(DELETE, &[(5, "", None)]);
    assert_eq!(modes(&inserted, &removed), [(Reference, Exclusive); 2]);
    let updated = of_parent(UPDATE, &[(5, "", None), (5, "x", None)]);
    assert_eq!(modes(&inserted, &updated), [(Reference, Update)]);
    let unrelated = of_child(UPDATE, &[(7, "", Some(5)), (7, "x", Some(5))]);
    assert_eq!(modes(&unrelated, &removed), [(Reference, Exclusive)]);
    let without_parent = of_child(INSERT, &[(8, "", None)]);
    assert_eq!(modes(&without_parent, &updated), []);
}

/// A table whose rows others may refer to, and that refers to rows of `parent` with a cascade.
fn child_of(parent: &str) -> Table {
    Table {
        keys: vec![KeyColumns {
            is_referenced: true,
            ..primary(&["a"])
        }],
        foreign_keys: vec![ForeignKey {
            columns: vec!["c".to_owned()],
            parent: TableName::new("s", parent),
            parent_columns: vec![KeyColumn::from("a")],
            cascades: true,
            parent_is_reached: false,
        }],
        ..Table::default()
    }
}

#[test]
fn a_cascade_comes_back_to_the_table_where_it_began() {
    for (parent, logs_cascades, expected) in [
        ("t", false, vec![(Exclusive, Reference)]),
        ("other", false, vec![]),
        ("t", true, vec![]),
    ] {
        let reached = if parent == "t" {
            vec![TableName::new("s", "t")]
        } else {
            vec![]
        };
        let tree = Table {
            logs_cascades,
            on_delete: reached.clone(),
            on_update: reached.clone(),
            reached,
            ..child_of(parent)
        };
        let conflicts = |kind, root: &[Row]| {
            let leaf = [(3, "", None), (3, "x", None)];
            let mut shared = shared(&tree, (kind, root), (UPDATE, &leaf));
            shared.retain(|(one, other)| one.conflicts_with(*other));
            shared
        };
        let root = [(1, "", None), (1, "x", None)];
        assert_eq!(conflicts(DELETE, &root[..1]), expected);
        assert_eq!(conflicts(UPDATE, &root), []);
    }
}

#[test]
fn cascades_are_logged_where_the_tables_that_they_reach_are_mapped() {
    let children = |names: &[&str]| {
        let names = names.iter().map(|name| TableName::new("s", name));
        names.collect::<Vec<_>>()
    };
    let parent = Table {
        logs_cascades: true,
        on_delete: children(&["d"]),
        on_update: children(&["u"]),
        reached: children(&["d", "u", "deep"]),
        ..child_of("other")
    };
    let child = Table {
        logs_cascades: true,
        ..child_of("p")
    };
    let tables = [("p", &parent), ("d", &child), ("u", &child)];
    let of = |events: &[Event]| {
        let draft = draft(events, &tables).unwrap();
        (draft.cascades(), draft.finish(&Weights::new()).len())
    };
    let changed = [(1, "", None), (2, "", None)];
    let deleted = rows(DELETE, 1, &changed[..1]);
    let updated = rows(UPDATE, 1, &changed);
    let inserted = rows(INSERT, 1, &changed[1..]);
    let whole = 3;
    let (_, keys) = of(&[map(1, "p"), deleted.without_foreign_keys()]);
    for (events, expected) in [
        (vec![map(1, "p"), inserted], Cascades::None),
        (
            vec![map(1, "p"), map(2, "d"), deleted.clone()],
            Cascades::Logged,
        ),
        (
            vec![map(1, "p"), map(2, "u"), deleted.clone()],
            Cascades::Unlogged,
        ),
        (
            vec![map(1, "p"), map(2, "d"), updated.clone()],
            Cascades::Unlogged,
        ),
        (vec![map(1, "p"), map(2, "u"), updated], Cascades::Logged),
        (vec![map(1, "p"), deleted.clone()], Cascades::Unlogged),
        (
            vec![map(1, "p"), deleted.without_foreign_keys()],
            Cascades::None,
        ),
    ] {
        let (cascades, count) = of(&events);
        assert_eq!(cascades, expected);
        if cascades == Cascades::Unlogged {
            assert!(count >= keys + whole, "{count} {keys}");
        }
    }
}

#[test]
fn rows_refer_to_rows_that_a_cascade_may_take_away() {
    let mut table = child_of("p");
    let count = |table: &Table| {
        let events = [map(1, "t"), rows(INSERT, 1, &[(7, "", Some(5))])];
        let draft = draft(&events, &[("t", table)]).unwrap();
        draft.finish(&Weights::new()).len()
    };
    let before = count(&table);
    table.foreign_keys[0].parent_is_reached = true;
    assert_eq!(count(&table), before + 1);
}

#[test]
fn a_row_that_has_gone_cannot_go_again() {
    let table = Table {
        logs_cascades: true,
        ..child_of("p")
    };
    let all = |kinds: &[u8]| {
        let rows = kinds.iter().map(|kind| rows(*kind, 1, &[(1, "x", None)]));
        let events: Vec<_> = [map(1, "t")].into_iter().chain(rows).collect();
        draft(&events, &[("t", &table)]).is_ok()
    };
    assert!(all(&[DELETE, INSERT, DELETE, INSERT]));
    assert!(!all(&[INSERT, DELETE, DELETE]));
}

#[test]
fn what_has_no_keys_is_an_error() {
    let table = Table {
        keys: vec![primary(&["id"])],
        ..Table::default()
    };
    let error = draft(&[map(1, "t")], &[("t", &table)]).unwrap_err();
    assert!(matches!(error, KeysError::Schema { .. }), "{error}");
    let error = draft(&[rows(INSERT, 1, &[])], &[]).unwrap_err();
    assert_eq!(error, KeysError::NoMap);
    let bare = written_event(
        Kind::TABLE_MAP,
        0,
        b"\x01\0\0\0\0\0\0\0\x01s\0\x01t\0\x01\x03\0\0",
    );
    let error = draft(&[bare], &[("t", &table)]).unwrap_err();
    assert!(matches!(error, KeysError::NoNames { .. }), "{error}");
}

#[test]
fn keys_have_names_that_tell_integers_alone() {
    let table = Table {
        keys: vec![primary(&["a"]), unique(&["b", "c"])],
        foreign_keys: vec![ForeignKey {
            columns: vec!["c".to_owned()],
            parent: TableName::new("s", "p"),
            parent_columns: vec![KeyColumn::from("a")],
            cascades: false,
            parent_is_reached: false,
        }],
        ..Table::default()
    };
    let whole = Table::default();
    let tables = [("t", &table), ("w", &whole)].map(|(name, table)| {
        let table = Table::clone(table);
        (TableName::new("s", name), table.into())
    });
    let events = [
        map(1, "t"),
        rows(INSERT, 1, &[(200, "x", Some(7))]),
        map(2, "w"),
        rows(DELETE, 2, &[(1, "y", None)]),
    ];
    let weights = Weights::new();
    let tables = tables.into_iter().collect();
    let draft = || Draft::with_names(&events, &tables).unwrap();
    let keys = draft().finish(&weights);
    let mut names: Vec<_> = keys
        .iter()
        .filter_map(|key| draft().name(key.hash, &weights))
        .collect();
    names.sort();
    let expected = [
        "s.p (a) = (7)",
        "s.t (a) = (200)",
        "s.t (b, c) = (…, 7)",
        "s.w (all or any rows)",
    ];
    assert_eq!(names, expected);
    assert_eq!(draft().name(KeyHash([0; 16]), &weights), None);
    assert_eq!((integer(b"\xfe\xff"), integer(b"\xfe\0")), (-2, 254));
}
