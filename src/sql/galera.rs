//! Statements that ask of a server what a Galera node would know, as monitors and tools do.
//!
//! The server evaluates all of them: a node puts what it knows into the text. Sources: "Galera Cluster Status
//! Variables" and "Galera Cluster System Variables" in MariaDB's documentation, and the tools' own statements.

use super::lexer::{Dialect, Lexer, Token};

/// Longer texts ask for something else.
const MAX_BYTES: usize = 16 << 10;

/// The names that a node answers for begin with these.
const NAMES: [&str; 2] = ["wsrep_", "pxc_maint_mode"];

/// Words that can stand after a table and are not its alias.
const CLAUSES: [&str; 22] = [
    "CROSS",
    "EXCEPT",
    "FOR",
    "FORCE",
    "GROUP",
    "HAVING",
    "IGNORE",
    "INNER",
    "INTERSECT",
    "INTO",
    "JOIN",
    "LEFT",
    "LIMIT",
    "LOCK",
    "NATURAL",
    "ON",
    "ORDER",
    "PROCEDURE",
    "RIGHT",
    "STRAIGHT_JOIN",
    "UNION",
    "WHERE",
];

/// What a Galera node calls its status and its variables, with a node's own values.
#[derive(Debug, Clone, Default)]
pub struct Values {
    pub status: Vec<(&'static str, Value)>,
    pub variables: Vec<(&'static str, Value)>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(String),
    /// Shown as `ON` or `OFF`, and a number where it is read as a variable.
    Switch(bool),
}

/// Which of the two kinds of values is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Status,
    Variables,
}

/// A statement that asks for a node's own values.
#[derive(Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// `SHOW STATUS` or `SHOW VARIABLES`, with its condition as it stands after `WHERE`.
    Show { kind: Kind, condition: Vec<u8> },
    /// A statement that reads them among other things.
    Read(&'a [u8]),
    /// An assignment of this, as it is written, to one variable.
    Set { name: String, value: String },
}

impl Question<'_> {
    /// The question in a statement, if it asks one.
    pub fn of(text: &[u8], dialect: Dialect) -> Option<Question<'_>> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut lexer = Lexer::new(text, dialect);
        let first = lexer.next()?;
        if first.is("SHOW") {
            return show(text, lexer);
        }
        if !names_any(text) {
            return None;
        }
        if first.is("SET") {
            return set(lexer);
        }
        let reads = first.is("SELECT") || first.is("WITH") || first.is_symbol(b'(');
        reads.then_some(Question::Read(text))
    }
}

impl Values {
    /// Whether a node answers for what has this name.
    pub fn have(name: &str) -> bool {
        NAMES.iter().any(|start| {
            let own = name.get(..start.len());
            own.is_some_and(|own| own.eq_ignore_ascii_case(start))
        })
    }

    /// A statement that gives those of one kind for which a condition holds, a name and a value each.
    pub fn rows(&self, kind: Kind, condition: &[u8], dialect: Dialect) -> Vec<u8> {
        let rows = self.union(kind, ["Variable_name", "Value"], dialect);
        let mut statement = format!("SELECT * FROM ({rows}) AS node WHERE ").into_bytes();
        statement.extend_from_slice(condition);
        statement
    }

    /// A statement that reads some of them, with their values in it.
    pub fn put_into(&self, text: &[u8], dialect: Dialect) -> Vec<u8> {
        let tokens = tokens(text, dialect);
        let mut put = Vec::new();
        let mut written = 0;
        let mut depth = 0;
        for at in 0..tokens.len() {
            match tokens[at].token {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth -= 1,
                _ => {}
            }
            let place = self.variable(text, &tokens, at, depth == 0, dialect);
            let place = place.or_else(|| self.table(text, &tokens, at, dialect));
            if let Some((end, instead)) = place
                && tokens[at].start >= written
            {
                put.extend_from_slice(&text[written..tokens[at].start]);
                put.extend(instead);
                written = end;
            }
        }
        put.extend_from_slice(&text[written..]);
        put
    }

    /// The variable that is read here: where its name ends, and what is to stand there instead.
    fn variable(
        &self,
        text: &[u8],
        tokens: &[Spanned],
        at: usize,
        is_outside: bool,
        dialect: Dialect,
    ) -> Option<(usize, Vec<u8>)> {
        let after = tokens.get(at..)?;
        let [one, two, rest @ ..] = after else {
            return None;
        };
        if !(one.token.is_symbol(b'@') && two.token.is_symbol(b'@')) {
            return None;
        }
        let name = match rest {
            [scope, dot, name, ..] if is_scope(&scope.token) && dot.token.is_symbol(b'.') => name,
            [name, ..] => name,
            [] => return None,
        };
        let known = self.variables.iter();
        let (_, value) = known.clone().find(|(known, _)| name.token.is_name(known))?;
        let mut instead = value.literal(dialect).into_bytes();
        let before = at.checked_sub(1).map(|before| tokens[before].token);
        let begins = before.is_some_and(|t| t.is_symbol(b',') || t.is("SELECT") || t.is("ALL"));
        let next = tokens.iter().find(|spanned| spanned.start >= name.end);
        let ends = next.is_none_or(|Spanned { token, .. }| {
            token.is_symbol(b',')
                || token.is_symbol(b';')
                || ["FROM", "INTO", "LIMIT"].iter().any(|word| token.is(word))
        });
        // The column is called what the client has written.
        if is_outside && begins && ends {
            instead.extend_from_slice(b" AS `");
            instead.extend_from_slice(&text[one.start..name.end]);
            instead.push(b'`');
        }
        Some((name.end, instead))
    }

    /// The table of values that is read here: where its name ends, and what is to stand there instead.
    fn table(
        &self,
        text: &[u8],
        tokens: &[Spanned],
        at: usize,
        dialect: Dialect,
    ) -> Option<(usize, Vec<u8>)> {
        let [schema, dot, table, rest @ ..] = tokens.get(at..)? else {
            return None;
        };
        let is_schema = ["performance_schema", "information_schema"]
            .iter()
            .any(|name| schema.token.is_name(name));
        if !is_schema || !dot.token.is_symbol(b'.') {
            return None;
        }
        let is_one_of = |names: [&str; 2]| names.iter().any(|name| table.token.is_name(name));
        let kind = if is_one_of(["global_status", "session_status"]) {
            Kind::Status
        } else if is_one_of(["global_variables", "session_variables"]) {
            Kind::Variables
        } else {
            return None;
        };
        let name = String::from_utf8_lossy(&text[schema.start..table.end]).into_owned();
        let columns = ["VARIABLE_NAME", "VARIABLE_VALUE"];
        let own = self.union(kind, columns, dialect);
        let mut instead = format!(
            "({own} UNION ALL SELECT VARIABLE_NAME, VARIABLE_VALUE FROM {name} WHERE LEFT(VARIABLE_NAME, 6) <> 'wsrep_')"
        );
        let has_alias = rest
            .first()
            .is_some_and(|Spanned { token, .. }| match token {
                Token::Word(_) => !CLAUSES.iter().any(|clause| token.is(clause)),
                Token::Quoted(_) => true,
                _ => false,
            });
        if !has_alias {
            let table = String::from_utf8_lossy(&text[table.start..table.end]);
            instead.push_str(&format!(" AS {table}"));
        }
        Some((table.end, instead.into_bytes()))
    }

    /// All of one kind, as a query with these columns.
    fn union(
        &self,
        kind: Kind,
        [name_column, value_column]: [&str; 2],
        dialect: Dialect,
    ) -> String {
        let values = match kind {
            Kind::Status => &self.status,
            Kind::Variables => &self.variables,
        };
        let mut rows = values.iter().map(|(name, value)| {
            (
                Value::Text((*name).to_owned()).literal(dialect),
                Value::Text(value.shown()).literal(dialect),
            )
        });
        let Some((name, value)) = rows.next() else {
            return format!(
                "SELECT '' AS {name_column}, '' AS {value_column} FROM DUAL WHERE FALSE"
            );
        };
        // A name is the same in any case, whatever collation the session has.
        let ci = "COLLATE utf8mb4_general_ci";
        let mut query = format!(
            "SELECT CONVERT({name} USING utf8mb4) {ci} AS {name_column}, CONVERT({value} USING utf8mb4) {ci} AS {value_column}"
        );
        for (name, value) in rows {
            query.push_str(&format!(" UNION ALL SELECT {name}, {value}"));
        }
        query
    }
}

impl Value {
    /// As `SHOW` shows it.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Switch(true) => "ON".to_owned(),
            Self::Switch(false) => "OFF".to_owned(),
        }
    }

    /// As an expression.
    fn literal(&self, dialect: Dialect) -> String {
        match self {
            Self::Number(number) => number.clone(),
            Self::Switch(on) => u8::from(*on).to_string(),
            Self::Text(text) => {
                let text = text.replace('\'', "''");
                let text = if dialect.backslash_is_plain {
                    text
                } else {
                    text.replace('\\', "\\\\")
                };
                format!("'{text}'")
            }
        }
    }

    /// Whether this is what is written so in an assignment.
    pub fn is(&self, written: &str) -> bool {
        let number = match self {
            Self::Switch(on) => written == u8::from(*on).to_string(),
            _ => false,
        };
        number || self.shown().eq_ignore_ascii_case(written)
    }
}

/// A token and where it stands.
struct Spanned<'a> {
    start: usize,
    end: usize,
    token: Token<'a>,
}

fn tokens(text: &[u8], dialect: Dialect) -> Vec<Spanned<'_>> {
    let mut lexer = Lexer::new(text, dialect);
    let mut tokens = Vec::new();
    while let Some((start, token)) = lexer.next_at() {
        let end = lexer.at();
        tokens.push(Spanned { start, end, token });
    }
    tokens
}

fn is_scope(token: &Token<'_>) -> bool {
    ["GLOBAL", "SESSION", "LOCAL"]
        .iter()
        .any(|scope| token.is(scope))
}

/// Whether one of the names is somewhere in a text.
fn names_any(text: &[u8]) -> bool {
    let begins = |name: &str| {
        text.windows(name.len())
            .any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
    };
    NAMES.iter().any(|name| begins(name))
}

/// After `SHOW`.
fn show<'a>(text: &[u8], mut lexer: Lexer<'_>) -> Option<Question<'a>> {
    let mut token = lexer.next()?;
    if is_scope(&token) {
        token = lexer.next()?;
    }
    let kind = if token.is("STATUS") {
        Kind::Status
    } else if token.is("VARIABLES") {
        Kind::Variables
    } else {
        return None;
    };
    let filter = lexer.at();
    let condition = match lexer.next() {
        None | Some(Token::Symbol(b';')) => b"TRUE".to_vec(),
        Some(token) if token.is("WHERE") => text[lexer.at()..].to_vec(),
        Some(token) if token.is("LIKE") => match lexer.next()? {
            Token::Text(pattern) | Token::Quoted(pattern) if may_match(pattern) => {
                [b"Variable_name", &text[filter..]].concat()
            }
            _ => return None,
        },
        Some(_) => return None,
    };
    Some(Question::Show { kind, condition })
}

/// Whether a pattern may match one of the names, by what it has before its first wildcard.
fn may_match(pattern: &[u8]) -> bool {
    let mut head = Vec::new();
    let mut rest = pattern.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' | b'_' => break,
            b'\\' => head.extend(rest.next()),
            _ => head.push(byte),
        }
    }
    let begins_with = |one: &[u8], other: &[u8]| {
        let start = one.get(..other.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(other))
    };
    let mut names = NAMES.iter().map(|name| name.as_bytes());
    names.any(|name| begins_with(name, &head) || begins_with(&head, name))
}

/// After `SET`: one assignment of one word to one of the names.
fn set<'a>(mut lexer: Lexer<'_>) -> Option<Question<'a>> {
    let mut token = lexer.next()?;
    while is_scope(&token) || token.is_symbol(b'@') || token.is_symbol(b'.') {
        token = lexer.next()?;
    }
    let (Token::Word(name) | Token::Quoted(name)) = token else {
        return None;
    };
    if !names_any(name) {
        return None;
    }
    let mut token = lexer.next()?;
    if token.is_symbol(b':') {
        token = lexer.next()?;
    }
    if !token.is_symbol(b'=') {
        return None;
    }
    let (Token::Word(value) | Token::Quoted(value) | Token::Text(value)) = lexer.next()? else {
        return None;
    };
    let is_last = lexer.next().is_none_or(|token| token.is_symbol(b';'));
    let text = |bytes| String::from_utf8_lossy(bytes).to_lowercase();
    is_last.then(|| Question::Set {
        name: text(name),
        value: text(value),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::lexer::tests::{MARIADB, MYSQL},
        *,
    };

    fn values() -> Values {
        let text = |text: &str| Value::Text(text.to_owned());
        Values {
            status: vec![("wsrep_ready", text("ON"))],
            variables: vec![
                ("wsrep_desync", Value::Switch(false)),
                ("wsrep_node_name", text("it's")),
                ("wsrep_sync_wait", Value::Number("0".to_owned())),
                ("pxc_maint_mode", text("DISABLED")),
            ],
        }
    }

    #[test]
    fn what_a_show_is_about() {
        use Kind::{Status, Variables};
        for (text, expected) in [
            ("SHOW STATUS", Some((Status, "TRUE"))),
            ("show global status;", Some((Status, "TRUE"))),
            (
                "SHOW VARIABLES LIKE 'wsrep_on'",
                Some((Variables, "Variable_name LIKE 'wsrep_on'")),
            ),
            (
                "SHOW STATUS LIKE 'WSREP\\_local\\_index'",
                Some((Status, "Variable_name LIKE 'WSREP\\_local\\_index'")),
            ),
            (
                "SHOW STATUS LIKE \"ws%\"",
                Some((Status, "Variable_name LIKE \"ws%\"")),
            ),
            (
                "SHOW STATUS LIKE '%ready'",
                Some((Status, "Variable_name LIKE '%ready'")),
            ),
            (
                "SHOW VARIABLES LIKE 'pxc_maint_mode'",
                Some((Variables, "Variable_name LIKE 'pxc_maint_mode'")),
            ),
            (
                "SHOW SESSION VARIABLES WHERE Variable_name = 'a'",
                Some((Variables, " Variable_name = 'a'")),
            ),
            ("SHOW GLOBAL VARIABLES LIKE 'read_only'", None),
            (
                "SHOW STATUS LIKE 'w'",
                Some((Status, "Variable_name LIKE 'w'")),
            ),
            ("SHOW STATUS LIKE 'wx%'", None),
            ("SHOW TABLE STATUS", None),
            ("SHOW TABLES", None),
            ("SHOW", None),
        ] {
            let expected = expected.map(|(kind, condition)| Question::Show {
                kind,
                condition: condition.as_bytes().to_vec(),
            });
            assert_eq!(Question::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }

    #[test]
    fn variables_are_put_in_under_the_names_that_they_were_read_by() {
        for (text, expected) in [
            ("SELECT @@wsrep_desync", "SELECT 0 AS `@@wsrep_desync`"),
            (
                "SELECT @@GLOBAL.WSREP_desync, 1",
                "SELECT 0 AS `@@GLOBAL.WSREP_desync`, 1",
            ),
            ("SELECT @@wsrep_node_name n", "SELECT 'it''s' n"),
            (
                "SELECT 1, @@wsrep_node_name AS n FROM t",
                "SELECT 1, 'it''s' AS n FROM t",
            ),
            (
                "SELECT IF(@@wsrep_sync_wait = 0, 'a', @@wsrep_desync)",
                "SELECT IF(0 = 0, 'a', 0)",
            ),
            ("SELECT (SELECT @@wsrep_sync_wait) x", "SELECT (SELECT 0) x"),
            (
                "SELECT @@wsrep_unknown, '@@wsrep_desync'",
                "SELECT @@wsrep_unknown, '@@wsrep_desync'",
            ),
            (
                "SELECT @@read_only, wsrep_desync",
                "SELECT @@read_only, wsrep_desync",
            ),
        ] {
            let put = values().put_into(text.as_bytes(), MARIADB);
            assert_eq!(String::from_utf8(put).unwrap(), expected);
        }
    }

    #[test]
    fn tables_of_values_are_completed() {
        let own = "(SELECT CONVERT('wsrep_ready' USING utf8mb4) COLLATE utf8mb4_general_ci AS VARIABLE_NAME, \
            CONVERT('ON' USING utf8mb4) COLLATE utf8mb4_general_ci AS VARIABLE_VALUE UNION ALL \
            SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.global_status WHERE LEFT(VARIABLE_NAME, 6) <> 'wsrep_')";
        for (after, alias) in [
            (" WHERE a = 'wsrep_x'", " AS global_status"),
            ("", " AS global_status"),
            (" AS s", ""),
            (" s JOIN t", ""),
        ] {
            let text = format!("SELECT 1 FROM performance_schema.global_status{after}");
            let put = values().put_into(text.as_bytes(), MYSQL);
            let expected = format!("SELECT 1 FROM {own}{alias}{after}");
            assert_eq!(String::from_utf8(put).unwrap(), expected);
        }
    }

    #[test]
    fn assignments() {
        for (text, expected) in [
            (
                "SET SESSION wsrep_sync_wait=0",
                Some(("wsrep_sync_wait", "0")),
            ),
            ("set @@session.WSREP_on := 'ON';", Some(("wsrep_on", "on"))),
            ("SET wsrep_sync_wait = 0, a = 1", None),
            ("SET a = 'wsrep_on'", None),
            ("SET wsrep_on = f()", None),
        ] {
            let expected = expected.map(|(name, value)| Question::Set {
                name: name.to_owned(),
                value: value.to_owned(),
            });
            assert_eq!(Question::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
        assert!(Value::Switch(true).is("on") && Value::Switch(true).is("1"));
        assert!(!Value::Switch(true).is("0") && Value::Number("0".to_owned()).is("0"));
    }

    #[test]
    fn others_ask_nothing() {
        for text in [
            "SELECT 1",
            "SELECT wsrep",
            "INSERT INTO t VALUES ('wsrep_on')",
            "",
            "SET a = 1",
        ] {
            assert_eq!(Question::of(text.as_bytes(), MYSQL), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[-@.,;()'\"`\\\\ a]{0,12}(@@wsrep_desync|performance_schema\\.global_status)?[-@.,;()'\"`\\\\ a]{0,12}") {
            let _ = Question::of(text.as_bytes(), MYSQL);
            let put = values().put_into(text.as_bytes(), MYSQL);
            proptest::prop_assert!(put.len() >= text.len() - "@@wsrep_desync".len().min(text.len()));
        }
    }
}
