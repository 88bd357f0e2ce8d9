//! Tokens with their places, for texts in which something is put in place of another.

use super::lexer::{Dialect, Lexer, Token};

/// A token and where it stands.
pub(super) struct Spanned<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) token: Token<'a>,
}

impl Spanned<'_> {
    /// Whether this stands for a parameter of a prepared statement.
    pub(super) fn is_parameter(&self) -> bool {
        self.token.is_symbol(b'?')
    }
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
