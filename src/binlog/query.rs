//! A statement in the binlog, and what it depends on.
//!
//! | bytes of the body | field |
//! |---|---|
//! | 4 | connection that ran it |
//! | 4 | how long it ran, in seconds |
//! | 1 | length d of the schema's name |
//! | 2 | error code |
//! | 2 | length v of the variables |
//! | v | variables that it depends on |
//! | d + 1 | schema, zero |
//! | … | the statement |
//!
//! Source: "Query_event" in the MySQL source documentation.

const FIXED_BYTES: usize = 13;
const SCHEMA_LENGTH: usize = 8;
const ERROR: usize = 9;
const VARIABLES_LENGTH: usize = 11;

/// A statement as the server has logged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The connection that ran it.
    pub connection: u32,
    /// The error that it ended with after it had an effect, or 0.
    pub error: u16,
    /// The default schema; empty if there was none.
    pub schema: &'a [u8],
    pub text: &'a [u8],
    variables: &'a [u8],
}

/// A statement depends on something of its session that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it depends on a variable (number {0} in its event) that is not known; is this server newer than \
    Trireme?"
)]
pub struct UnknownVariable(pub u8);

impl<'a> Query<'a> {
    /// Reads the body of an event; `None` when it is malformed.
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = body.split_first_chunk::<FIXED_BYTES>()?;
        let u16 = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let (variables, rest) = rest.split_at_checked(u16(VARIABLES_LENGTH).into())?;
        let (schema, rest) = rest.split_at_checked(fixed[SCHEMA_LENGTH].into())?;
        Some(Self {
            connection: u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]),
            error: u16(ERROR),
            schema,
            text: rest.get(1..)?,
            variables,
        })
    }

    /// The assignments that give a session what the statement depends on, for a server of the same
    /// family, in lists to be made one after the other. `second` is the time in its event.
    ///
    /// MariaDB takes the number of a collation for `character_set_client` only if it is the character set's default one, and
    /// drivers connect with others. So it gets the character set of the `collation_connection` before.
    ///
    /// | number | bytes | variable |
    /// |---|---|---|
    /// | 0 | 4 | a bit for each of [`FLAGS`] |
    /// | 1 | 8 | `sql_mode` |
    /// | 3 | 2, 2 | `auto_increment_increment`, `auto_increment_offset` |
    /// | 4 | 2, 2, 2 | `character_set_client`, `collation_connection`, `collation_server` |
    /// | 5 | string | `time_zone` |
    /// | 6 | string | catalog |
    /// | 7 | 2 | `lc_time_names` |
    /// | 8 | 2 | `collation_database` |
    /// | 9 | 8 | tables that a multi-table update changes |
    /// | 10 | 4 | length of the event that came from a primary |
    /// | 11 | string, string | name and host of the account |
    /// | 12 | 1, strings that end with zero | schemas that are changed; 254 for too many |
    /// | 13, 128 | 3 | microseconds of `timestamp` (MySQL, MariaDB) |
    /// | 16 | 1 | `explicit_defaults_for_timestamp` (MySQL) |
    /// | 17, 129 | 8 | number of the transaction (MySQL, MariaDB) |
    /// | 18 | 2 | `default_collation_for_utf8mb4` (MySQL) |
    /// | 19 | 1 | `sql_require_primary_key` (MySQL) |
    /// | 20 | 1 | `default_table_encryption` (MySQL) |
    ///
    /// A string starts with one byte for its length.
    ///
    /// # Errors
    /// A variable is not known, or cut short.
    pub fn settings(&self, second: u32, is_mariadb: bool) -> Result<Vec<String>, UnknownVariable> {
        // A server does not log them when they are 1.
        let unless_logged = ["auto_increment_increment = 1", "auto_increment_offset = 1"];
        let mut settings: Vec<_> = unless_logged.map(str::to_owned).into();
        let mut before = None;
        let mut microseconds = 0;
        let mut rest = Rest(self.variables);
        while let Some(number) = rest.number(1) {
            let known = rest.setting(number as u8, is_mariadb, &mut settings);
            match known.ok_or(UnknownVariable(number as u8))? {
                Setting::Microseconds(value) => microseconds = value,
                Setting::Client(collation) if is_mariadb => {
                    before = Some(format!("collation_connection = {collation}"));
                    settings.push("character_set_client = @@character_set_connection".to_owned());
                }
                Setting::Client(collation) => {
                    settings.push(format!("character_set_client = {collation}"));
                }
                Setting::Other => {}
            }
        }
        settings.push(format!("timestamp = {second}.{microseconds:06}"));
        Ok(before.into_iter().chain([settings.join(", ")]).collect())
    }
}

/// Session variables that are one bit each: the number of the bit, the name, whether the bit turns
/// it off, and whether MariaDB alone has it.
///
/// Source: "Query_event" in the documentation of both servers.
const FLAGS: [(u32, &str, bool, bool); 7] = [
    (14, "sql_auto_is_null", false, false),
    (23, "check_constraint_checks", true, true),
    (24, "explicit_defaults_for_timestamp", false, true),
    (26, "foreign_key_checks", true, false),
    (27, "unique_checks", true, false),
    (28, "sql_if_exists", false, true),
    (30, "system_versioning_insert_history", false, true),
];

/// What a variable is when it has been read.
enum Setting {
    Microseconds(u64),
    /// The number of the collation whose character set the client's is.
    Client(u64),
    /// It is among the assignments, or of no meaning for another session.
    Other,
}

/// What has not been read of the variables.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn setting(
        &mut self,
        number: u8,
        is_mariadb: bool,
        settings: &mut Vec<String>,
    ) -> Option<Setting> {
        let mut set = |name: &str, value: u64| settings.push(format!("{name} = {value}"));
        match number {
            0 => {
                let flags = self.number(4)?;
                for (bit, name, turns_off, of_mariadb) in FLAGS {
                    if is_mariadb || !of_mariadb {
                        set(name, u64::from((flags >> bit & 1 == 1) != turns_off));
                    }
                }
            }
            1 => set("sql_mode", self.number(8)?),
            3 => {
                set("auto_increment_increment", self.number(2)?);
                set("auto_increment_offset", self.number(2)?);
            }
            4 => {
                let client = self.number(2)?;
                set("collation_connection", self.number(2)?);
                set("collation_server", self.number(2)?);
                return Some(Setting::Client(client));
            }
            5 => {
                let zone = str::from_utf8(self.string()?).ok()?.replace('\'', "''");
                settings.push(format!("time_zone = '{zone}'"));
            }
            6 => drop(self.string()?),
            7 => set("lc_time_names", self.number(2)?),
            8 => set("collation_database", self.number(2)?),
            9 | 17 | 129 => drop(self.number(8)?),
            10 => drop(self.number(4)?),
            11 => {
                self.string()?;
                self.string()?;
            }
            12 => {
                const TOO_MANY: u64 = 254;
                let count = self.number(1)?;
                for _ in 0..if count == TOO_MANY { 0 } else { count } {
                    let end = self.0.iter().position(|&byte| byte == 0)?;
                    self.0 = &self.0[end + 1..];
                }
            }
            13 | 128 => return Some(Setting::Microseconds(self.number(3)?)),
            16 => set("explicit_defaults_for_timestamp", self.number(1)?),
            18 => set("default_collation_for_utf8mb4", self.number(2)?),
            19 => set("sql_require_primary_key", self.number(1)?),
            20 => set("default_table_encryption", self.number(1)?),
            _ => return None,
        }
        Some(Setting::Other)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        let digits = number.iter().rev();
        Some(digits.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number(1)?;
        let (string, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(string)
    }
}

/// What a statement means for the group that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    /// Opens a transaction whose end is an event of its own.
    Begin,
    /// Stands inside a transaction and changes nothing.
    Inside,
    /// Commits the transaction of its group.
    Commit,
    /// Rolls back the transaction of its group, which has left something all the same: MariaDB logs it when
    /// a table of another engine was written to, which stands in a group of its own.
    RollBack,
    /// Decides a prepared transaction of an earlier group.
    Decide,
    /// Anything else: by itself in its group, or part of a transaction.
    Other,
}

impl Statement {
    /// The server writes these itself, always in the same letters, whatever a client has written.
    pub(super) fn of(sql: &[u8]) -> Self {
        const STARTS: [(&[u8], Statement); 5] = [
            (b"XA START ", Statement::Begin),
            (b"XA END ", Statement::Inside),
            (b"SAVEPOINT ", Statement::Inside),
            (b"XA COMMIT ", Statement::Decide),
            (b"XA ROLLBACK ", Statement::Decide),
        ];
        match sql {
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ROLLBACK" => Self::RollBack,
            _ => STARTS
                .iter()
                .find(|(start, _)| sql.starts_with(start))
                .map_or(Self::Other, |(_, statement)| *statement),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(variables: &[u8]) -> Vec<u8> {
        let mut body = vec![7, 0, 0, 0, 0, 0, 0, 0, 2, 0x1b, 4];
        body.extend((variables.len() as u16).to_le_bytes());
        body.extend(variables);
        body.extend(b"db\0BEGIN");
        body
    }

    #[test]
    fn a_statement_comes_with_its_connection_and_schema() {
        let bytes = body(b"vvv");
        let query = Query::decode(&bytes).unwrap();
        assert_eq!((query.connection, query.error), (7, 1051));
        assert_eq!((query.schema, query.text), (&b"db"[..], &b"BEGIN"[..]));
        let empty = bytes.len() - b"BEGIN".len();
        assert_eq!(Query::decode(&bytes[..empty]).unwrap().text, b"");
        for end in 0..empty {
            assert_eq!(Query::decode(&bytes[..end]), None);
        }
    }

    #[test]
    fn a_session_gets_what_a_statement_depends_on() {
        // As MariaDB 10.11 and MySQL 9.7 have written them.
        let mariadb = b"\x00\x00\x00\x00\x05\x01\x04\x00\x00\x00\x00\x00\x00\x00\x05\x06+03:00\
            \x06\x03std\x04\xe0\x00\x21\x00\x08\x00\x0b\x04root\x09localhost\x80\x0d\x08\x07\
            \x81\x23\0\0\0\0\0\0\0";
        let mysql =
            b"\x00\x00\x40\x00\x00\x03\x03\x00\x02\x00\x07\x04\x00\x0c\x01d1\0\x0c\xfe\x12\xff\x00\x13\x01\x14\x00";
        for (variables, is_mariadb, expected) in [
            (
                &mariadb[..],
                true,
                "collation_connection = 224; auto_increment_increment = 1, auto_increment_offset = 1, sql_auto_is_null = 0, check_constraint_checks = 1, \
                explicit_defaults_for_timestamp = 1, foreign_key_checks = 0, unique_checks = 1, \
                sql_if_exists = 0, system_versioning_insert_history = 0, sql_mode = 4, \
                time_zone = '+03:00', collation_connection = 33, collation_server = 8, \
                character_set_client = @@character_set_connection, timestamp = 9.460813",
            ),
            (
                mysql,
                false,
                "auto_increment_increment = 1, auto_increment_offset = 1, sql_auto_is_null = 1, \
                foreign_key_checks = 1, unique_checks = 1, \
                auto_increment_increment = 3, auto_increment_offset = 2, \
                lc_time_names = 4, default_collation_for_utf8mb4 = 255, \
                sql_require_primary_key = 1, default_table_encryption = 0, timestamp = 9.000000",
            ),
        ] {
            let bytes = body(variables);
            let settings = Query::decode(&bytes).unwrap().settings(9, is_mariadb);
            assert_eq!(settings.map(|all| all.join("; ")), Ok(expected.to_owned()));
        }
        for (variables, number) in [(&b"\x02"[..], 2), (b"\x07\x04", 7), (b"\x0c\x01d", 12)] {
            let bytes = body(variables);
            let settings = Query::decode(&bytes).unwrap().settings(9, true);
            assert_eq!(settings, Err(UnknownVariable(number)));
        }
    }

    #[test]
    fn statements_have_their_meaning() {
        for (sql, meaning) in [
            ("BEGIN", Statement::Begin),
            ("XA START X'6e31',X'',1", Statement::Begin),
            ("XA END X'6e31',X'',1", Statement::Inside),
            ("SAVEPOINT `s`", Statement::Inside),
            ("ROLLBACK TO `s`", Statement::Other),
            ("ROLLBACK", Statement::RollBack),
            ("COMMIT", Statement::Commit),
            ("XA COMMIT X'6e31',X'',1", Statement::Decide),
            ("XA ROLLBACK X'6e31',X'',1", Statement::Decide),
            ("BEGINNING", Statement::Other),
            ("DROP TABLE t", Statement::Other),
        ] {
            assert_eq!(Statement::of(sql.as_bytes()), meaning, "{sql}");
        }
    }
}
