//! Which statements may run twice.

use super::lexer::{Dialect, Lexer};

/// Whether a statement that changes rows, and whose changes have been rolled back, may run again as if it never had: it
/// leaves nothing behind in its session, as an assignment to a user variable or a lock with a name would, and it is no routine, which may do so.
pub fn may_repeat(text: &[u8], dialect: Dialect) -> bool {
    const CHANGES: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "LOAD"];
    let mut lexer = Lexer::new(text, dialect);
    let Some(mut before) = lexer.next() else {
        return false;
    };
    if !CHANGES.iter().any(|word| before.is(word)) {
        return false;
    }
    let loads = before.is("LOAD");
    for token in lexer {
        let assigns = before.is_symbol(b':') && token.is_symbol(b'=');
        let loads_variable = loads && token.is_symbol(b'@');
        let locks = before.is_name("GET_LOCK") && token.is_symbol(b'(');
        if assigns || loads_variable || locks {
            return false;
        }
        before = token;
    }
    true
}

/// Whether a statement that reads leaves nothing behind in its session, so that it may be run once more.
pub fn may_read_again(text: &[u8], dialect: Dialect) -> bool {
    let mut lexer = Lexer::new(text, dialect).skip_while(|token| token.is_symbol(b'('));
    let Some(mut before) = lexer.next() else {
        return false;
    };
    if !["SELECT", "TABLE", "VALUES", "WITH", "DO"]
        .iter()
        .any(|word| before.is(word))
    {
        return false;
    }
    lexer.all(|token| {
        let assigns = before.is_symbol(b':') && token.is_symbol(b'=');
        before = token;
        !assigns && !token.is("INTO")
    })
}

/// Whether a statement makes a temporary table.
pub fn makes_temporary(text: &[u8], dialect: Dialect) -> bool {
    let mut tokens = Lexer::new(text, dialect);
    tokens.next().is_some_and(|verb| verb.is("CREATE")) && tokens.any(|token| token.is("TEMPORARY"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn what_leaves_nothing_behind() {
        for (text, expected) in [
            ("UPDATE t SET a = a + 1", true),
            ("/* a */ insert into t values (@a, ':=')", true),
            ("WITH c AS (SELECT 1) DELETE FROM t", true),
            ("LOAD DATA INFILE 'a' INTO TABLE t", true),
            ("INSERT INTO t SELECT @a := @a + 1", false),
            ("INSERT INTO t SELECT GET_LOCK('a', 1)", false),
            ("LOAD DATA INFILE 'a' INTO TABLE t (@a) SET b = @a", false),
            ("CALL p()", false),
            ("EXECUTE p", false),
            ("SELECT f()", false),
            ("", false),
        ] {
            assert_eq!(may_repeat(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }

    #[test]
    fn what_reads_and_leaves_nothing_behind() {
        for (text, expected) in [
            ("SELECT * FROM t FOR UPDATE", true),
            ("(SELECT 1) UNION (SELECT @a)", true),
            ("WITH c AS (SELECT 1) SELECT * FROM c", true),
            ("TABLE t", true),
            ("SELECT @a := @a + 1", false),
            ("SELECT @a + 1 INTO @a", false),
            ("DO SLEEP(1)", true),
            ("HANDLER t READ NEXT", false),
            ("", false),
        ] {
            let found = may_read_again(text.as_bytes(), MYSQL);
            assert_eq!(found, expected, "{text}");
        }
    }
}
