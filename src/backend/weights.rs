//! What the server takes for equal: it alone knows how the values of a character column compare.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ConnectionError, schema::Schemas};
use crate::{
    sql::hex,
    write_set::{Collation, Draft, Text, Weights},
};

/// Values that the server is asked about at once.
const BATCH: usize = 256;

/// How the weights of a collation's values compare.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Padding {
    /// As they are.
    None,
    /// Without these at their end: the weight of a space.
    Spaces(String),
    /// In a way that cannot be told from them: all values count as equal.
    Unknown,
}

/// The collations that the server was asked about.
#[derive(Debug, Default)]
pub(super) struct Collations(Mutex<HashMap<Collation, Arc<Padding>>>);

impl Collations {
    /// Asks the server about the character values in a draft: equal weights for those that are
    /// equal to it.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(super) async fn weights(
        &self,
        schemas: &Schemas,
        draft: &Draft,
    ) -> Result<Weights, ConnectionError> {
        let texts: Vec<&Text> = draft.texts().collect();
        let mut weights = Weights::new();
        for texts in texts.chunks(BATCH) {
            let asked: Vec<_> = texts.iter().map(|text| weight_of(text)).collect();
            let rows = schemas
                .query(&format!("SELECT {}", asked.join(", ")))
                .await?;
            let row = rows.first().ok_or(ConnectionError::Malformed("weights"))?;
            for (at, text) in texts.iter().enumerate() {
                let weight = row.text(at).ok_or(ConnectionError::Malformed("a weight"))?;
                let weight = match &*self.padding(schemas, &text.collation).await? {
                    Padding::None => weight,
                    Padding::Spaces(space) => weight.trim_end_matches(&**space),
                    Padding::Unknown => "",
                };
                weights.insert(Text::clone(text), weight.as_bytes().to_vec());
            }
        }
        Ok(weights)
    }

    async fn padding(
        &self,
        schemas: &Schemas,
        collation: &Collation,
    ) -> Result<Arc<Padding>, ConnectionError> {
        let known = self.lock().get(collation).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let Collation {
            character_set,
            name,
        } = collation;
        let text = |text| format!("CONVERT('{text}' USING {character_set}) COLLATE {name}");
        let weight = |value| format!("HEX(WEIGHT_STRING({}))", text(value));
        let sql = format!(
            "SELECT {} = {}, {}, {}, {}",
            text("a"),
            text("a "),
            weight("a"),
            weight(" "),
            weight("a ")
        );
        let rows = schemas.query(&sql).await?;
        let texts = rows.first().map(|row| [0, 1, 2, 3].map(|at| row.text(at)));
        let Some([Some(equal), Some(letter), Some(space), Some(both)]) = texts else {
            return Err(ConnectionError::Malformed("weights"));
        };
        let padding = Arc::new(padding(equal == "1", letter, space, both));
        self.lock().insert(collation.clone(), padding.clone());
        Ok(padding)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Collation, Arc<Padding>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From what the server says of `'a' = 'a '`, and the weights of `'a'`, `' '` and `'a '`. A
/// collation with several levels has no weight of a space at the end of the last.
fn padding(ignores_spaces: bool, letter: &str, space: &str, both: &str) -> Padding {
    if !ignores_spaces {
        Padding::None
    } else if !space.is_empty() && both.strip_prefix(letter) == Some(space) {
        Padding::Spaces(space.to_owned())
    } else {
        Padding::Unknown
    }
}

fn weight_of(text: &Text) -> String {
    let Text {
        collation: Collation {
            character_set,
            name,
        },
        prefix,
        bytes,
    } = text;
    let value = format!("_{character_set} X'{}' COLLATE {name}", hex(bytes));
    match prefix {
        Some(prefix) => format!("HEX(WEIGHT_STRING(LEFT({value}, {prefix})))"),
        None => format!("HEX(WEIGHT_STRING({value}))"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collation_does_with_spaces() {
        for (name, ignores, letter, space, both, expected) in [
            (
                "general_ci",
                true,
                "0041",
                "0020",
                "00410020",
                Padding::Spaces("0020".to_owned()),
            ),
            (
                "0900_ai_ci",
                false,
                "1C47",
                "0209",
                "1C470209",
                Padding::None,
            ),
            (
                "two levels",
                true,
                "20750020",
                "02090020",
                "2075020900200020",
                Padding::Unknown,
            ),
            (
                "a space without weight",
                true,
                "41",
                "",
                "41",
                Padding::Unknown,
            ),
        ] {
            assert_eq!(padding(ignores, letter, space, both), expected, "{name}");
        }
    }

    #[test]
    fn a_weight_is_asked_for() {
        let mut text = Text {
            collation: Collation {
                character_set: "latin1".to_owned(),
                name: "latin1_swedish_ci".to_owned(),
            },
            prefix: None,
            bytes: b"a\xe4".to_vec(),
        };
        let value = "_latin1 X'61E4' COLLATE latin1_swedish_ci";
        assert_eq!(weight_of(&text), format!("HEX(WEIGHT_STRING({value}))"));
        text.prefix = Some(7);
        assert_eq!(
            weight_of(&text),
            format!("HEX(WEIGHT_STRING(LEFT({value}, 7)))")
        );
    }
}
