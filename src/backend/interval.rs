//! What is between two turns of an event (`EVERY …`).

use std::fmt;

/// What is between two turns of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) count: u64,
    pub(super) unit: Unit,
}

/// What cannot be counted in the one before: days have 23 to 25 hours, and months 28 to 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Day,
    Month,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "SECOND",
            Self::Day => "DAY",
            Self::Month => "MONTH",
        })
    }
}

impl Interval {
    /// Reads what `information_schema.events` says of it, such as `'1:30'` and `HOUR_MINUTE`.
    pub(super) fn parse(value: &str, field: &str) -> Option<Self> {
        const SCALE: [(&str, u64); 4] = [
            ("DAY", 86400),
            ("HOUR", 3600),
            ("MINUTE", 60),
            ("SECOND", 1),
        ];
        let (unit, factors) = match field {
            "YEAR" => (Unit::Month, vec![12]),
            "QUARTER" => (Unit::Month, vec![3]),
            "MONTH" => (Unit::Month, vec![1]),
            "YEAR_MONTH" => (Unit::Month, vec![12, 1]),
            "WEEK" => (Unit::Day, vec![7]),
            "DAY" => (Unit::Day, vec![1]),
            _ => {
                let (from, to) = field.split_once('_').unwrap_or((field, field));
                let at = |name| SCALE.iter().position(|(unit, _)| *unit == name);
                let scale = SCALE.get(at(from)?..=at(to)?)?;
                (
                    Unit::Second,
                    scale.iter().map(|(_, seconds)| *seconds).collect(),
                )
            }
        };
        let numbers = value.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
        if numbers.len() != factors.len() {
            return None;
        }
        let parts = numbers.iter().zip(factors);
        let mut count = 0_u64;
        for (number, factor) in parts {
            count = count.checked_add(number.checked_mul(factor)?)?;
        }
        (count > 0).then_some(Self { count, unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_read_as_the_server_tells_it() {
        for (value, field, expected) in [
            ("1", "SECOND", Some((1, Unit::Second))),
            ("90", "MINUTE", Some((5400, Unit::Second))),
            ("'1:30'", "HOUR_MINUTE", Some((5400, Unit::Second))),
            ("'1 2:03:04'", "DAY_SECOND", Some((93784, Unit::Second))),
            ("'2 12'", "DAY_HOUR", Some((216_000, Unit::Second))),
            ("2", "WEEK", Some((14, Unit::Day))),
            ("1", "DAY", Some((1, Unit::Day))),
            ("1", "QUARTER", Some((3, Unit::Month))),
            ("'1-2'", "YEAR_MONTH", Some((14, Unit::Month))),
            ("0", "SECOND", None),
            ("'1'", "HOUR_MINUTE", None),
            ("18446744073709551615", "MINUTE", None),
            ("1", "FORTNIGHT", None),
            ("1", "SECOND_HOUR", None),
        ] {
            let expected = expected.map(|(count, unit)| Interval { count, unit });
            assert_eq!(Interval::parse(value, field), expected, "{value} {field}");
        }
    }
}
