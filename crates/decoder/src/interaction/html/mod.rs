//! HTML as the text that a browser shows.
//!
//! [`tokens`] splits the markup into tokens, html5ever's tree builder arranges them by the rules that browsers follow,
//! [`tree`] holds the result, [`roles`] says how each element is displayed, and [`render`] writes the text. Time and
//! memory are linear in the length of any markup: [`builder`] withholds from the tree builder what would cost more.

mod builder;
mod references;
mod render;
mod roles;
mod tokens;
mod tree;

use builder::DocumentBuilder;

/// The text of HTML: headings, lists and tables stay readable; links keep their text, images their alternative text.
pub(crate) fn text(html: &str) -> String {
    let builder = DocumentBuilder::new();
    tokens::read(html, &builder);
    render::text(&builder.finish())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
