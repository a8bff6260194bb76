//! HTML as the text that a browser shows.
//!
//! [`tokens`] reads the markup, html5ever's tree builder puts it in order by the rules that browsers follow, [`tree`]
//! holds the result, [`roles`] says how each element is displayed, and [`render`] writes the text. Time and memory grow
//! with the length of the markup, whatever it is: [`builder`] keeps from the tree builder what would cost more.

mod builder;
mod references;
mod render;
mod roles;
mod tokens;
mod tree;

use builder::DocumentBuilder;

/// The text of HTML: headings, lists and tables stay readable; of links the text, of images what stands for them.
pub(crate) fn text(html: &str) -> String {
    let builder = DocumentBuilder::new();
    tokens::read(html, &builder);
    render::text(&builder.finish())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
