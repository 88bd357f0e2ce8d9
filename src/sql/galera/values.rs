//! What a node puts into statements.

use super::{Kind, NAMES, is_scope};
use crate::sql::{
    lexer::{Dialect, Token},
    put::{Put, not_evaluated, put},
    spanned::Spanned,
};

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
    /// With their global values.
    pub variables: Vec<(&'static str, Value)>,
    /// What some of these are in the session that asks.
    pub session: Vec<(&'static str, Value)>,
    /// Functions without arguments.
    pub functions: Vec<(&'static str, Value)>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(String),
    /// A number that the server knows too, though another one.
    Signed(i64),
    Unsigned(u64),
    /// Shown as `ON` or `OFF`, and a number where it is read as a variable.
    Switch(bool),
}

impl Values {
    /// A variable's value, under its name as documentation has it.
    pub fn variable(
        &self,
        name: impl Fn(&str) -> bool,
        is_global: bool,
    ) -> Option<(&'static str, &Value)> {
        let own = self.session.iter().filter(|_| !is_global);
        let mut all = own.chain(&self.variables);
        let (name, value) = all.find(|(known, _)| name(known))?;
        Some((name, value))
    }

    /// A statement that gives those of one kind for which a condition holds, a name and a value each.
    pub fn rows(&self, kind: Kind, is_global: bool, condition: &[u8], dialect: Dialect) -> Vec<u8> {
        let rows = self.union(kind, is_global, ["Variable_name", "Value"], dialect);
        let mut statement = format!("SELECT * FROM ({rows}) AS node WHERE ").into_bytes();
        statement.extend_from_slice(condition);
        statement
    }

    /// A statement that gives what `SHOW` shows of one kind, also of what is not the node's, as a query.
    pub fn select(
        &self,
        kind: Kind,
        is_global: bool,
        condition: &[u8],
        dialect: Dialect,
    ) -> Vec<u8> {
        let schema = if dialect.mariadb {
            "information_schema"
        } else {
            "performance_schema"
        };
        let scope = if is_global { "global" } else { "session" };
        let kind = match kind {
            Kind::Status => "status",
            Kind::Variables => "variables",
        };
        let table = format!("{schema}.{scope}_{kind}");
        let select = format!(
            "SELECT * FROM (SELECT VARIABLE_NAME AS Variable_name, VARIABLE_VALUE AS Value FROM {table}) AS node WHERE "
        );
        self.put_into(&[select.as_bytes(), condition].concat(), dialect)
    }

    /// A statement that reads some of them, with their values in it.
    pub fn put_into(&self, text: &[u8], dialect: Dialect) -> Vec<u8> {
        put(text, dialect, |tokens, at| {
            let rest = tokens.get(at..)?;
            let read = self.variable_at(rest).or_else(|| self.function_at(rest));
            let put = read.map(|(end, value)| {
                let original = &text[tokens[at].start..end];
                (end, Put::Expression(value.in_place_of(original, dialect)))
            });
            put.or_else(|| {
                let (end, table) = self.table(text, tokens, at, dialect)?;
                Some((end, Put::Text(table)))
            })
        })
    }

    /// The variable that is read at the start of these tokens, and where its name ends.
    fn variable_at(&self, tokens: &[Spanned]) -> Option<(usize, &Value)> {
        let [one, two, rest @ ..] = tokens else {
            return None;
        };
        if !(one.token.is_symbol(b'@') && two.token.is_symbol(b'@')) {
            return None;
        }
        let (is_global, name) = match rest {
            [scope, dot, name, ..] if is_scope(&scope.token) && dot.token.is_symbol(b'.') => {
                (scope.token.is("GLOBAL"), name)
            }
            [name, ..] => (false, name),
            [] => return None,
        };
        let (_, value) = self.variable(|known| name.token.is_name(known), is_global)?;
        Some((name.end, value))
    }

    /// The function that is called at the start of these tokens, and where the call ends.
    fn function_at(&self, tokens: &[Spanned]) -> Option<(usize, &Value)> {
        let [name, open, close, ..] = tokens else {
            return None;
        };
        let is_call = open.token.is_symbol(b'(') && close.token.is_symbol(b')');
        let mut known = self.functions.iter();
        let (_, value) = known.find(|(known, _)| is_call && name.token.is(known))?;
        Some((close.end, value))
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
        let is_global = !table.token.is_name("session_variables");
        let own = self.union(kind, is_global, columns, dialect);
        let others = NAMES.map(|own| format!("LEFT(VARIABLE_NAME, {}) <> '{own}'", own.len()));
        let others = others.join(" AND ");
        let mut instead = format!(
            "({own} UNION ALL SELECT VARIABLE_NAME, VARIABLE_VALUE FROM {name} WHERE {others})"
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
        is_global: bool,
        [name_column, value_column]: [&str; 2],
        dialect: Dialect,
    ) -> String {
        let values = match kind {
            Kind::Status => &self.status,
            Kind::Variables => &self.variables,
        };
        // A name is the same in any case, whatever collation the session has.
        let column =
            |name| format!("CONVERT('' USING utf8mb4) COLLATE utf8mb4_general_ci AS {name}");
        let mut query = format!(
            "SELECT {}, {} FROM DUAL WHERE FALSE",
            column(name_column),
            column(value_column)
        );
        for (name, value) in values {
            let value = match kind {
                Kind::Status => value,
                Kind::Variables => self
                    .variable(|known| known == *name, is_global)
                    .map_or(value, |(_, value)| value),
            };
            let value = Value::Text(value.shown()).literal(dialect);
            query.push_str(&format!(" UNION ALL SELECT '{name}', {value}"));
        }
        query
    }
}

impl Value {
    /// As an expression that stands where another one stood.
    fn in_place_of(&self, original: &[u8], dialect: Dialect) -> Vec<u8> {
        let literal = self.literal(dialect).into_bytes();
        match self {
            Self::Signed(_) | Self::Unsigned(_) => not_evaluated(&literal, original),
            _ => literal,
        }
    }

    /// As `SHOW` shows it.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Signed(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Switch(true) => "ON".to_owned(),
            Self::Switch(false) => "OFF".to_owned(),
        }
    }

    /// As an expression.
    pub fn literal(&self, dialect: Dialect) -> String {
        match self {
            Self::Number(number) => number.clone(),
            Self::Signed(number) => format!("CAST({number} AS SIGNED)"),
            Self::Unsigned(number) => format!("CAST({number} AS UNSIGNED)"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::{MARIADB, MYSQL};

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
            session: vec![("wsrep_sync_wait", Value::Number("7".to_owned()))],
            functions: vec![("ROW_COUNT", Value::Signed(-1))],
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
                "SELECT IF(@@wsrep_sync_wait = @@global.wsrep_sync_wait, 'a', @@wsrep_desync)",
                "SELECT IF(7 = 0, 'a', 0) AS \
                 `IF(@@wsrep_sync_wait = @@global.wsrep_sync_wait, 'a', @@wsrep_desync)`",
            ),
            (
                "SELECT (SELECT @@session.wsrep_sync_wait) x",
                "SELECT (SELECT 7) x",
            ),
            (
                "SELECT row_count( ), id FROM t WHERE ROW_COUNT() = 1",
                "SELECT IF(1, CAST(-1 AS SIGNED), row_count( )) AS `row_count( )`, id FROM t WHERE \
                 IF(1, CAST(-1 AS SIGNED), ROW_COUNT()) = 1",
            ),
            (
                "SELECT row_count, ROW_COUNT(1)",
                "SELECT row_count, ROW_COUNT(1)",
            ),
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
        let own = "(SELECT CONVERT('' USING utf8mb4) COLLATE utf8mb4_general_ci AS VARIABLE_NAME, \
            CONVERT('' USING utf8mb4) COLLATE utf8mb4_general_ci AS VARIABLE_VALUE FROM DUAL WHERE FALSE \
            UNION ALL SELECT 'wsrep_ready', 'ON' UNION ALL \
            SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.global_status \
            WHERE LEFT(VARIABLE_NAME, 6) <> 'wsrep_' AND LEFT(VARIABLE_NAME, 14) <> 'pxc_maint_mode')";
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
    fn values_are_what_is_written_of_them() {
        assert!(Value::Switch(true).is("on") && Value::Switch(true).is("1"));
        assert!(!Value::Switch(true).is("0") && Value::Number("0".to_owned()).is("0"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[-@.,;()'\"`\\\\ a]{0,12}(@@wsrep_desync|performance_schema\\.global_status)?[-@.,;()'\"`\\\\ a]{0,12}") {
            let put = values().put_into(text.as_bytes(), MYSQL);
            proptest::prop_assert!(put.len() >= text.len() - "@@wsrep_desync".len().min(text.len()));
        }
    }
}
