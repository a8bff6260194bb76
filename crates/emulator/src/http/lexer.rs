//! The words of a `$filter`: where they end, parentheses and quotes. What they mean is up to each grammar.

use crate::route::unquote;

/// What is left of a filter.
pub(crate) struct Tokens<'a> {
    rest: &'a str,
    /// What ends a word.
    ends: &'static [char],
}

impl<'a> Tokens<'a> {
    pub(crate) const fn new(text: &'a str, ends: &'static [char]) -> Self {
        Self { rest: text, ends }
    }

    /// The next word; empty when something else comes next.
    pub(crate) fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let end = text.find(self.ends).unwrap_or(text.len());
        self.rest = &text[end..];
        &text[..end]
    }

    /// Takes that word when it is next.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let before = self.rest;
        let found = self.word() == word;
        if !found {
            self.rest = before;
        }
        found
    }

    /// Takes that character when it is next.
    pub(crate) fn take(&mut self, c: char) -> bool {
        let after = self.rest.trim_start().strip_prefix(c);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Takes the text in quotes that is next; `None`: there is none, or its end is missing.
    pub(crate) fn quoted(&mut self) -> Option<String> {
        let (text, rest) = self.rest.trim_start().strip_prefix('\'').and_then(unquote)?;
        self.rest = rest;
        Some(text)
    }

    /// What is left, for messages.
    pub(crate) fn left(&self) -> &'a str {
        self.rest.trim()
    }
}
