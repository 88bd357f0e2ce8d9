//! Events (`CREATE EVENT`): what a server says of them, and when one is due.
//!
//! Source: "The INFORMATION_SCHEMA EVENTS Table" and "CREATE EVENT Statement" in the MySQL reference manual.

use std::sync::Arc;

use tracing::warn;

use super::{
    ConnectionError, Row, Unreplicable, Unreplicated, Verdict,
    interval::{Interval, Unit},
    literal,
    pool::Pool,
};
use crate::{
    config::Server,
    sql::{self, Dialect},
};

/// An event's times are in its own time zone, and those when it was made or altered in the session's.
const EVENTS: &str = "SELECT event_schema, event_name, definer, event_definition, time_zone, sql_mode, \
    collation_connection, on_completion = 'PRESERVE', interval_value, interval_field, COALESCE(execute_at, starts), \
    TIMESTAMPDIFF(SECOND, '1970-01-01', CONVERT_TZ(COALESCE(execute_at, starts), time_zone, '+00:00')), \
    TIMESTAMPDIFF(SECOND, '1970-01-01', CONVERT_TZ(ends, time_zone, '+00:00')), UNIX_TIMESTAMP(last_altered) \
    FROM information_schema.events WHERE status = 'ENABLED'";

const RUNS: &str = "SELECT event_schema, event_name, due FROM trireme_private.event_run";

/// What the names begin with of procedures that are made for one run of an event.
const PROCEDURE: &str = "trireme_event_";

/// An event that runs, as it is defined. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledEvent {
    pub schema: String,
    pub name: String,
    /// `user@host`, or a role.
    definer: String,
    body: String,
    time_zone: String,
    sql_mode: String,
    collation: String,
    /// Whether it stays when it is over.
    is_kept: bool,
    /// Nothing for one that runs once.
    every: Option<Interval>,
    /// When it runs for the first time, in its time zone.
    starts: String,
    first: u64,
    ends: Option<u64>,
    altered: u64,
}

/// The turns of an event that are near: the last two, and those after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// In milliseconds.
    pub now: u64,
    turns: Vec<u64>,
}

/// What is to be done about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to run, for this turn.
    Due(u64),
    /// Its next turn is then.
    Waits(u64),
    /// It will not run again.
    Over,
}

/// The server's view of events.
#[derive(Debug)]
pub struct ScheduledEvents {
    pool: Pool,
}

impl ScheduledEvents {
    pub fn new(server: Server) -> Self {
        Self {
            pool: Pool::new(server),
        }
    }

    /// The events that are enabled.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn all(&self) -> Result<Vec<ScheduledEvent>, ConnectionError> {
        let rows = self.pool.query(EVENTS).await?;
        let event = |row: &Row| {
            let event = ScheduledEvent::of(row);
            if event.is_none() {
                let (schema, event) = (row.text(0), row.text(1));
                warn!(
                    schema,
                    event, "an event does not run: its schedule or time zone is unknown"
                );
            }
            event
        };
        Ok(rows.iter().filter_map(event).collect())
    }

    /// The schema and the name of each event that has run, and its last turn.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn runs(&self) -> Result<Vec<((String, String), u64)>, ConnectionError> {
        let rows = self.pool.query(RUNS).await?;
        let run = |row: &Row| {
            let name = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
            Some((name, number(row, 2)?))
        };
        Ok(rows.iter().filter_map(run).collect())
    }

    /// The turns of an event that are near.
    ///
    /// # Errors
    /// The server cannot be reached, or does not know the event's time zone any more.
    pub async fn turns(&self, event: &ScheduledEvent) -> Result<Turns, ConnectionError> {
        let rows = self.pool.query(&event.ask_turns()).await?;
        let turns = rows.first().and_then(|row| {
            Some(Turns {
                now: number(row, 0)?,
                turns: (1..=4).map_while(|column| number(row, column)).collect(),
            })
        });
        turns.ok_or(ConnectionError::Malformed("the turns of an event"))
    }

    /// The procedures that a node has left behind which ended while events ran: statements that drop them.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn drop_left(&self) -> Result<Vec<String>, ConnectionError> {
        let query = format!(
            "SELECT routine_schema, routine_name FROM information_schema.routines WHERE LEFT(routine_name, {}) = '{PROCEDURE}'",
            PROCEDURE.len()
        );
        let rows = self.pool.query(&query).await?;
        let left = rows
            .iter()
            .filter_map(|row| Some((row.text(0)?, row.text(1)?)));
        Ok(left
            .map(|(schema, name)| drop_procedure(schema, name))
            .collect())
    }
}

/// The statement that forgets when an event ran.
pub fn forget_run((schema, name): &(String, String)) -> String {
    format!(
        "DELETE FROM trireme_private.event_run WHERE {}",
        row(schema, name)
    )
}

fn row(schema: &str, name: &str) -> String {
    let (schema, name) = (literal(schema), literal(name));
    format!("event_schema = {schema} AND event_name = {name}")
}

fn drop_procedure(schema: &str, name: &str) -> String {
    let (schema, name) = (quoted(schema), quoted(name));
    format!("DROP PROCEDURE IF EXISTS {schema}.{name}")
}

impl ScheduledEvent {
    fn of(row: &Row) -> Option<Self> {
        let text = |column| row.text(column).map(str::to_owned);
        let every = match (row.text(8), row.text(9)) {
            (Some(value), Some(field)) => Some(Interval::parse(value, field)?),
            _ => None,
        };
        Some(Self {
            schema: text(0)?,
            name: text(1)?,
            definer: text(2)?,
            body: text(3)?,
            time_zone: text(4)?,
            sql_mode: text(5)?,
            collation: text(6)?,
            is_kept: row.text(7) == Some("1"),
            every,
            starts: text(10)?,
            first: number(row, 11)?,
            ends: number(row, 12),
            altered: number(row, 13)?,
        })
    }

    /// What is to be done, when the event has run for a turn, or for none.
    pub fn standing(&self, Turns { now, turns }: &Turns, last_run: Option<u64>) -> Standing {
        let has_come = |turn: &u64| turn * 1000 <= *now;
        let is_in_time = |turn: &u64| self.ends.is_none_or(|ends| *turn <= ends);
        let turns = || turns.iter().copied().filter(is_in_time);
        if let Some(turn) = turns().filter(has_come).max() {
            // What it has missed before it was made, or enabled, it does not make good.
            let is_missed = self.every.is_some() && turn < self.altered;
            if !is_missed && last_run.is_none_or(|run| turn > run) {
                return Standing::Due(turn);
            }
        }
        let next = turns().find(|turn| !has_come(turn));
        next.map_or(Standing::Over, Standing::Waits)
    }

    /// Asks for the time in milliseconds and for turns.
    fn ask_turns(&self) -> String {
        const NOW: &str = "SELECT FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000)";
        let Self {
            first,
            time_zone,
            starts,
            ..
        } = self;
        let Some(Interval { count, unit }) = self.every else {
            return format!("{NOW}, {first}");
        };
        let (zone, starts) = (literal(time_zone), literal(starts));
        // Days and months are those of the event's time zone.
        let passed = match unit {
            Unit::Second => format!("CAST(UNIX_TIMESTAMP() AS SIGNED) - {first}"),
            Unit::Day | Unit::Month => {
                format!(
                    "TIMESTAMPDIFF({unit}, {starts}, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', {zone}))"
                )
            }
        };
        let turn = |after| match unit {
            Unit::Second => format!("{first} + (n + {after}) * {count}"),
            Unit::Day | Unit::Month => {
                let turn = format!("{starts} + INTERVAL (n + {after}) * {count} {unit}");
                format!("TIMESTAMPDIFF(SECOND, '1970-01-01', CONVERT_TZ({turn}, {zone}, '+00:00'))")
            }
        };
        // A month after the last day of January has passed before the 31st of February.
        let turns = [0, 1, 2, 3].map(turn).join(", ");
        // One more, if the last one was not run when it came.
        format!(
            "{NOW}, {turns} FROM (SELECT GREATEST({passed}, {count}) DIV {count} - 1 AS n) AS passed"
        )
    }

    /// Why it cannot run, if so.
    pub fn obstacle(
        &self,
        unreplicated: &Unreplicated,
        dialect: Dialect,
    ) -> Option<Arc<Unreplicable>> {
        let body = self.body.as_bytes();
        if !sql::calls(body, dialect).is_empty() {
            let name = format!("{}.{}", self.schema, self.name);
            return Some(Arc::new(Unreplicable::Calls(name)));
        }
        match unreplicated.judge(&sql::changed(body, dialect), Some(&self.schema)) {
            Verdict::Unreplicable(reason) => Some(reason),
            _ => None,
        }
    }

    /// The statements that make a procedure of the event's body, and one that calls it unless the event has run for this
    /// turn or a later one, on any node. Their names have a number in them.
    pub fn make(&self, turn: u64, number: u32) -> Vec<String> {
        let definer = self.definer();
        let [guard, body] = self.procedures(number);
        // In the words of Oracle a procedure is a block.
        let (before, after) = if self.sql_mode.split(',').any(|mode| mode == "ORACLE") {
            ("AS BEGIN", ";\nEND")
        } else {
            ("()", "")
        };
        let (sql_mode, collation) = (literal(&self.sql_mode), literal(&self.collation));
        let mut statements = self.drop(number).to_vec();
        statements.extend([
            format!(
                "CREATE PROCEDURE {guard} () BEGIN {}; IF ROW_COUNT() > 0 THEN CALL {body}(); END IF; END",
                self.has_run(turn)
            ),
            format!("SET SESSION sql_mode = {sql_mode}, collation_connection = {collation}"),
            format!("CREATE DEFINER = {definer} PROCEDURE {body} {before} {}{after}", self.body),
        ]);
        statements
    }

    /// The session in which a run is called, and the call.
    pub fn call(&self, number: u32) -> [String; 2] {
        let zone = literal(&self.time_zone);
        let [guard, _] = self.procedures(number);
        [
            format!("SET SESSION time_zone = {zone}"),
            format!("CALL {guard}()"),
        ]
    }

    /// The statement after which there is a row that says when it has run.
    pub fn begin(&self) -> String {
        let (schema, name) = (literal(&self.schema), literal(&self.name));
        format!("INSERT IGNORE INTO trireme_private.event_run VALUES ({schema}, {name}, 0)")
    }

    /// The statement that says in that row that it has run for a turn. It changes nothing if that is known, and locks nothing else.
    pub fn has_run(&self, turn: u64) -> String {
        let row = row(&self.schema, &self.name);
        format!("UPDATE trireme_private.event_run SET due = {turn} WHERE {row} AND due < {turn}")
    }

    /// The statements that drop what [`make`](Self::make) has made.
    pub fn drop(&self, number: u32) -> [String; 2] {
        self.procedures(number)
            .map(|name| format!("DROP PROCEDURE IF EXISTS {name}"))
    }

    fn procedures(&self, number: u32) -> [String; 2] {
        let name = format!("{PROCEDURE}{number}");
        ["trireme_private", &self.schema].map(|schema| format!("{}.{name}", quoted(schema)))
    }

    /// The statements that end what is over: it is dropped, or disabled if it is to be kept.
    pub fn end(&self) -> Vec<String> {
        let name = format!("{}.{}", quoted(&self.schema), quoted(&self.name));
        if !self.is_kept {
            return vec![format!("DROP EVENT IF EXISTS {name}")];
        }
        let definer = self.definer();
        let (sql_mode, zone) = (literal(&self.sql_mode), literal(&self.time_zone));
        // Whatever is altered takes these from the session.
        vec![
            format!("SET SESSION sql_mode = {sql_mode}, time_zone = {zone}"),
            format!("ALTER DEFINER = {definer} EVENT {name} DISABLE"),
        ]
    }

    fn definer(&self) -> String {
        match self.definer.rsplit_once('@') {
            // A role has no host.
            Some((role, "")) => quoted(role),
            Some((user, host)) => format!("{}@{}", quoted(user), quoted(host)),
            None => quoted(&self.definer),
        }
    }
}

fn number(row: &Row, column: usize) -> Option<u64> {
    // Servers may add fractions.
    row.text(column)?.split('.').next()?.parse().ok()
}

/// A name as statements have it.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::{
        Standing::{Due, Over, Waits},
        *,
    };

    fn event(every: Option<Interval>, ends: Option<u64>, altered: u64) -> ScheduledEvent {
        ScheduledEvent {
            schema: "d".to_owned(),
            name: "e`".to_owned(),
            definer: "a@b@%".to_owned(),
            body: "SELECT 1".to_owned(),
            time_zone: "SYSTEM".to_owned(),
            sql_mode: String::new(),
            collation: "utf8mb4_general_ci".to_owned(),
            is_kept: true,
            every,
            starts: "1970-01-01 00:01:40".to_owned(),
            first: 100,
            ends,
            altered,
        }
    }

    #[test]
    fn each_turn_is_due_once_and_none_that_was_missed_before_the_event_was_there() {
        let turns = [100, 110, 120, 130];
        for (now, last_run, altered, ends, expected) in [
            (115_000, None, 0, None, Due(110)),
            (115_000, Some(100), 0, None, Due(110)),
            (115_000, Some(110), 0, None, Waits(120)),
            // Another node's clock is ahead.
            (115_000, Some(120), 0, None, Waits(120)),
            (110_000, None, 110, None, Due(110)),
            (115_000, None, 111, None, Waits(120)),
            (119_999, Some(110), 0, None, Waits(120)),
            // The months that have passed are counted from a day that this one may not have.
            (120_000, Some(110), 0, None, Due(120)),
            (115_000, None, 0, Some(110), Due(110)),
            (115_000, Some(110), 0, Some(110), Over),
            (115_000, None, 0, Some(99), Over),
            (115_000, None, 0, Some(109), Due(100)),
            (50_000, None, 0, None, Waits(100)),
        ] {
            let every = Interval {
                count: 10,
                unit: Unit::Second,
            };
            let event = event(Some(every), ends, altered);
            let turns = turns.to_vec();
            let found = event.standing(&Turns { now, turns }, last_run);
            assert_eq!(found, expected, "{now} {last_run:?} {altered} {ends:?}");
        }
    }

    #[test]
    fn what_runs_once_is_never_missed() {
        for (now, last_run, expected) in [
            (99_000, None, Waits(100)),
            (300_000, None, Due(100)),
            (100_000, Some(100), Over),
        ] {
            let turns = vec![100];
            let found = event(None, None, 200).standing(&Turns { now, turns }, last_run);
            assert_eq!(found, expected, "{now} {last_run:?}");
        }
    }

    #[test]
    fn names_of_all_kinds_are_quoted() {
        let mut event = event(None, None, 0);
        let [_, alter] = event.end().try_into().unwrap();
        assert_eq!(alter, "ALTER DEFINER = `a@b`@`%` EVENT `d`.`e``` DISABLE");
        event.definer = "role@".to_owned();
        event.sql_mode = "PIPES_AS_CONCAT,ORACLE".to_owned();
        let [.., body] = &event.make(7, 3)[..] else {
            panic!("nothing is made");
        };
        let expected =
            "CREATE DEFINER = `role` PROCEDURE `d`.trireme_event_3 AS BEGIN SELECT 1;\nEND";
        assert_eq!(body, expected);
    }
}
