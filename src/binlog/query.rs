//! A statement in the binlog.
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
const VARIABLES_LENGTH: usize = 11;

/// The statement; `None` when the body is malformed.
pub(super) fn statement(body: &[u8]) -> Option<&[u8]> {
    let schema = *body.get(SCHEMA_LENGTH)?;
    let variables = body.get(VARIABLES_LENGTH..FIXED_BYTES)?;
    let variables = u16::from_le_bytes([variables[0], variables[1]]);
    body.get(FIXED_BYTES + usize::from(variables) + usize::from(schema) + 1..)
}

/// What a statement means for the group that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    /// Opens a transaction whose end is an event of its own.
    Begin,
    /// Stands inside a transaction and changes nothing.
    Inside,
    /// Commits or rolls back a transaction of its group.
    End,
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
            b"COMMIT" | b"ROLLBACK" => Self::End,
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

    #[test]
    fn the_statement_is_what_follows_the_schema() {
        let mut body = vec![0; FIXED_BYTES];
        body[SCHEMA_LENGTH] = 2;
        body[VARIABLES_LENGTH] = 3;
        body.extend(b"vvvdb\0BEGIN");
        assert_eq!(statement(&body), Some(&b"BEGIN"[..]));
        assert_eq!(statement(&body[..FIXED_BYTES + 6]), Some(&b""[..]));
        for end in 0..FIXED_BYTES + 6 {
            assert_eq!(statement(&body[..end]), None);
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
            ("ROLLBACK", Statement::End),
            ("COMMIT", Statement::End),
            ("XA COMMIT X'6e31',X'',1", Statement::Decide),
            ("XA ROLLBACK X'6e31',X'',1", Statement::Decide),
            ("BEGINNING", Statement::Other),
            ("DROP TABLE t", Statement::Other),
        ] {
            assert_eq!(Statement::of(sql.as_bytes()), meaning, "{sql}");
        }
    }
}
