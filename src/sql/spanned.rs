//! Tokens with their places, for texts in which something is put in place of another.

use super::lexer::{Dialect, Lexer, Token};

/// A token and where it stands.
pub(super) struct Spanned<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) token: Token<'a>,
}

/// All tokens of a text.
pub(super) fn spanned(text: &[u8], dialect: Dialect) -> Vec<Spanned<'_>> {
    let mut lexer = Lexer::new(text, dialect);
    let mut tokens = Vec::new();
    while let Some((start, token)) = lexer.next_at() {
        let end = lexer.at();
        tokens.push(Spanned { start, end, token });
    }
    tokens
}
