//! How elements are displayed: a browser's default style sheet, as far as it affects text.

use html5ever::tendril::StrTendril;
use html5ever::{Attribute, QualName, ns};

/// How an element is displayed.
#[derive(Debug)]
pub(super) enum Role {
    /// Within its line.
    Inline,
    /// On lines of its own.
    Block,
    /// On lines of its own, with empty lines around it.
    Paragraph,
    /// On lines of its own, with an empty line before.
    Table,
    /// A table row: on a line of its own.
    Row,
    Cell,
    /// A list, with its first number if it is numbered.
    List(Option<i64>),
    /// A list item, with its own number if it has one.
    Item(Option<i64>),
    /// Indented, on lines of its own.
    Indented,
    /// Like [`Role::Paragraph`], with white space preserved.
    Preformatted,
    /// White space is preserved.
    Verbatim,
    LineBreak,
    Superscript,
    /// Between quotation marks.
    Quotation,
    /// This text is shown if the element has none of its own.
    Alternative(StrTendril),
    /// The place of the attachment with this id.
    Attachment(StrTendril),
    /// Not shown.
    Hidden,
}

/// Attributes that a role or the tree builder needs; all others are dropped.
pub(super) const ATTRIBUTES: [&str; 10] =
    ["alt", "color", "encoding", "face", "hidden", "id", "size", "start", "type", "value"];

/// Formatting elements. Browsers reopen them until they are closed, which does not affect text.
pub(super) const FORMATTING: [&str; 14] =
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// HTML elements without child elements: void ones, and those with raw text.
pub(super) const CHILDLESS: [&str; 26] = [
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "iframe", "img", "image", "input",
    "keygen", "link", "meta", "noembed", "noframes", "param", "script", "source", "style", "textarea", "title",
    "track", "wbr",
];

/// The role of an element.
pub(super) fn role(name: &QualName, attributes: Vec<Attribute>) -> Role {
    let local = &*name.local;
    if name.ns != ns!(html) {
        return match local {
            "annotation" | "annotation-xml" | "defs" | "desc" | "metadata" | "script" | "style" | "title" => {
                Role::Hidden
            }
            _ => Role::Inline,
        };
    }
    let mut attributes = Attributes(attributes);
    if attributes.take("hidden").is_some() {
        return Role::Hidden;
    }
    match local {
        "area" | "audio" | "canvas" | "datalist" | "head" | "iframe" | "meter" | "noembed" | "noframes"
        | "progress" | "script" | "style" | "template" | "title" | "video" => Role::Hidden,
        "br" => Role::LineBreak,
        "blockquote" | "caption" | "figure" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "hr" | "p" => Role::Paragraph,
        "listing" | "plaintext" | "pre" | "xmp" => Role::Preformatted,
        "textarea" => Role::Verbatim,
        "dir" | "menu" | "ul" => Role::List(None),
        "ol" => Role::List(Some(attributes.integer("start").unwrap_or(1))),
        "li" => Role::Item(attributes.integer("value")),
        "dd" => Role::Indented,
        "table" => Role::Table,
        "tr" => Role::Row,
        "td" | "th" => Role::Cell,
        "address" | "article" | "aside" | "body" | "center" | "details" | "dialog" | "div" | "dl" | "dt"
        | "fieldset" | "figcaption" | "footer" | "form" | "header" | "hgroup" | "html" | "legend" | "main" | "nav"
        | "optgroup" | "option" | "search" | "section" | "summary" => Role::Block,
        "sup" => Role::Superscript,
        "q" => Role::Quotation,
        "attachment" => attributes.take("id").map_or(Role::Inline, Role::Attachment),
        "input" => attributes.shown().map_or(Role::Hidden, Role::Alternative),
        // Images and emoji: their alternative text.
        _ => attributes.take("alt").map_or(Role::Inline, Role::Alternative),
    }
}

/// Whether an element has lines of its own.
pub(super) fn has_lines(name: &str) -> bool {
    let name = QualName::new(None, ns!(html), name.into());
    !matches!(role(&name, vec![]), Role::Inline | Role::Superscript | Role::Quotation | Role::Cell | Role::Hidden)
}

struct Attributes(Vec<Attribute>);

impl Attributes {
    fn take(&mut self, name: &str) -> Option<StrTendril> {
        let at = self.0.iter().position(|attribute| &*attribute.name.local == name)?;
        Some(self.0.swap_remove(at).value)
    }

    /// An integer as HTML parses it: anything after the digits is ignored.
    fn integer(&mut self, name: &str) -> Option<i64> {
        let value = self.take(name)?;
        let text = value.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let end = text.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        text[..end].parse::<i32>().ok().map(i64::from)
    }

    /// The visible text of a form field.
    fn shown(&mut self) -> Option<StrTendril> {
        match self.take("type").map(|kind| kind.to_ascii_lowercase()).as_deref() {
            Some("checkbox" | "color" | "file" | "hidden" | "password" | "radio" | "range") => None,
            Some("image") => self.take("alt"),
            _ => self.take("value"),
        }
    }
}
