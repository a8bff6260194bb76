//! HTML as text.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::decorator::Lists;

/// Columns of a line, at least: lines are not broken.
const WIDTH: usize = 1 << 16;

/// Nested deeper than what people write. The library takes time by the square of the depth.
const DEPTH: usize = 200;

/// Columns that a cell may span.
const SPAN: usize = 50;

/// Rows times columns of a table, and lines times bytes of text of what has a table: cells are padded to their column.
const CELLS: usize = 1 << 20;
const PADDED: usize = 1 << 25;

/// Elements without an end.
const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

/// Elements that end where another of their kind begins, or what holds them ends.
const IMPLIED: [&str; 13] =
    ["caption", "colgroup", "dd", "dt", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"];

/// Elements that a parser opens again in what follows, until they are closed.
const FORMATTING: [&str; 14] =
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// Elements that stay within a line.
const INLINE: [&str; 13] =
    ["abbr", "at", "cite", "del", "img", "ins", "kbd", "label", "mark", "q", "span", "sub", "sup"];

/// HTML as text: headings, lists and tables stay readable; of links the text.
pub(super) fn text(html: &str) -> String {
    let eased = eased(html);
    let text = if is_tame(&eased) { render(&eased) } else { None };
    // The library leaves out what it does not know where it stands, such as text between items.
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
    let flat = || render(&flat(html));
    match text {
        Some(text) if !html.contains('<') => text,
        Some(text) => flat().filter(|flat| letters(flat) > letters(&text)).unwrap_or(text),
        None => flat().unwrap_or_else(|| html.to_owned()),
    }
}

fn render(html: &str) -> Option<String> {
    let config = html2text::config::with_decorator(Lists).no_table_borders().unicode_strikeout(false);
    // The library panics at some tables that nobody writes; a body must not end a run.
    let rendered = catch_unwind(AssertUnwindSafe(|| config.string_from_read(html.as_bytes(), html.len().max(WIDTH))));
    rendered.ok()?.ok()
}

/// The same in elements that the library does not leave out: captions are lines, which a parser puts before the table,
/// feet of tables are bodies, and images are what they say.
fn eased(html: &str) -> String {
    const OTHERS: [(&str, &str); 2] = [("caption", "div"), ("tfoot", "tbody")];
    let mut eased = String::with_capacity(html.len());
    for piece in Pieces(html) {
        match piece {
            Piece::Text(text) => eased.push_str(text),
            Piece::Tag(tag) if tag.is("img") => eased.push_str(&tag.alternative()),
            Piece::Tag(tag) => {
                let other = OTHERS.iter().find(|(name, _)| tag.is(name));
                let name = other.map_or(tag.name, |(_, other)| other);
                let end = if tag.is_end { "/" } else { "" };
                eased.extend(["<", end, name, tag.attributes, ">"]);
            }
        }
    }
    eased
}

/// Whether the library renders this in time and memory that grow with its length.
fn is_tame(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut formatting = [0_usize; FORMATTING.len()];
    let (mut has_table, mut bytes, mut lines) = (false, 0_usize, 1_usize);
    let (mut rows, mut cells, mut columns) = (1_usize, 0_usize, 0_usize);
    for piece in Pieces(html) {
        let tag = match piece {
            Piece::Text(text) => {
                bytes += text.len();
                continue;
            }
            Piece::Tag(tag) => tag,
        };
        lines += usize::from(!tag.is_any(&INLINE) && !tag.is_any(&FORMATTING));
        if tag.is_any(&VOID) {
            continue;
        }
        let kind = FORMATTING.iter().position(|name| tag.is(name));
        if tag.is_end || tag.is_any(&IMPLIED) {
            close(&mut open, &tag);
        }
        if tag.is_end {
            kind.into_iter().for_each(|kind| formatting[kind] = formatting[kind].saturating_sub(1));
            continue;
        }
        open.push(tag.name);
        kind.into_iter().for_each(|kind| formatting[kind] += 1);
        if open.len().max(formatting.iter().sum()) > DEPTH {
            return false;
        }
        has_table |= tag.is("table");
        if tag.is("ol") && !tag.counts_little() {
            return false;
        }
        if tag.is("tr") {
            (rows, cells) = (rows + 1, 0);
        } else if tag.is_any(&["td", "th"]) {
            cells += 1;
            columns = columns.max(cells);
            if !tag.spans_little() {
                return false;
            }
        }
    }
    !has_table || (rows.saturating_mul(columns) <= CELLS && lines.saturating_mul(bytes) <= PADDED)
}

/// Closes the innermost element of the tag's name, unless something stands between that does not end by itself.
fn close(open: &mut Vec<&str>, tag: &Tag<'_>) {
    for at in (0..open.len()).rev() {
        let is = |names: &[&str]| names.iter().any(|name| open[at].eq_ignore_ascii_case(name));
        if is(&[tag.name]) {
            open.truncate(at);
            return;
        }
        if !is(&IMPLIED) && !is(&FORMATTING) && !is(&INLINE) {
            return;
        }
    }
}

/// The same text without any nesting: lines and words stay apart.
fn flat(html: &str) -> String {
    let mut flat = String::with_capacity(html.len());
    let mut is_line_start = true;
    for piece in Pieces(html) {
        match piece {
            Piece::Text(text) => {
                flat.push_str(&text.replace('<', "&lt;"));
                is_line_start &= text.trim_ascii().is_empty();
            }
            Piece::Tag(tag) if tag.is("img") => {
                flat.push_str(&tag.alternative());
                is_line_start = false;
            }
            Piece::Tag(tag) if tag.is_any(&["td", "th"]) => flat.push_str(if is_line_start { "" } else { " " }),
            Piece::Tag(tag) if tag.is_any(&INLINE) || tag.is_any(&FORMATTING) => {}
            Piece::Tag(tag) => {
                flat.push_str(if is_line_start && !tag.is("br") { "" } else { "<br>" });
                is_line_start = true;
            }
        }
    }
    flat
}

enum Piece<'h> {
    Text(&'h str),
    Tag(Tag<'h>),
}

struct Tag<'h> {
    name: &'h str,
    is_end: bool,
    attributes: &'h str,
}

impl Tag<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn is_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.is(name))
    }

    /// The text of an attribute, without its quotes.
    fn attribute(&self, name: &str) -> Option<&str> {
        let (_, value) = self.attributes.split_once(&format!(" {name}="))?;
        match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split(quote).next(),
            _ => value.split_ascii_whitespace().next(),
        }
    }

    /// What an image says, as text of HTML.
    fn alternative(&self) -> String {
        self.attribute("alt").unwrap_or_default().replace('<', "&lt;")
    }

    /// Whether a cell takes one row and not many columns: the library panics at some that overlap.
    fn spans_little(&self) -> bool {
        let attributes = self.attributes.to_ascii_lowercase();
        attributes.match_indices("span").all(|(at, name)| {
            let value = attributes[at + name.len()..]
                .trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '"' | '\''));
            let digits = value.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            let most = if attributes[..at].ends_with("row") { 1 } else { SPAN };
            digits.parse::<usize>().is_ok_and(|span| (1..=most).contains(&span))
        })
    }

    /// Whether a list counts from a number that leaves room for others: the library adds to it.
    fn counts_little(&self) -> bool {
        self.attribute("start").is_none_or(|start| start.parse::<i32>().is_ok())
    }
}

/// Text and tags of what is left; comments, scripts, styles and titles are neither.
struct Pieces<'h>(&'h str);

impl<'h> Iterator for Pieces<'h> {
    type Item = Piece<'h>;

    fn next(&mut self) -> Option<Piece<'h>> {
        loop {
            let text = self.text();
            if !text.is_empty() {
                return Some(Piece::Text(text));
            }
            // A browser shows nothing of a tag or a comment without an end either.
            let rest = self.0.strip_prefix('<')?;
            if let Some(comment) = rest.strip_prefix("!--") {
                self.0 = comment.split_once("-->").map_or("", |(_, after)| after);
                continue;
            }
            let (is_end, inside) = rest.strip_prefix('/').map_or((false, rest), |inside| (true, inside));
            if !inside.starts_with(|c: char| c.is_ascii_alphabetic()) {
                self.0 = inside.split_once('>').map_or("", |(_, after)| after);
                continue;
            }
            let end = end_of_tag(inside)?;
            let name = inside.split(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).next()?;
            let tag = Tag { name, is_end, attributes: &inside[name.len()..end] };
            self.0 = &inside[end + 1..];
            if !is_end && tag.is_any(&["script", "style", "title"]) {
                let is_end = |at: usize| {
                    let name = self.0.get(at + 2..at + 2 + tag.name.len());
                    name.is_some_and(|name| tag.is(name))
                };
                let end = self.0.match_indices("</").map(|(at, _)| at).find(|at| is_end(*at));
                self.0 = end.map_or("", |at| &self.0[at..]);
            }
            return Some(Piece::Tag(tag));
        }
    }
}

impl<'h> Pieces<'h> {
    /// Takes the text up to the next tag, which may be none.
    fn text(&mut self) -> &'h str {
        let mut from = 0;
        loop {
            let Some(at) = self.0[from..].find('<').map(|at| from + at) else {
                return std::mem::take(&mut self.0);
            };
            if self.0[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
                let (text, rest) = self.0.split_at(at);
                self.0 = rest;
                return text;
            }
            from = at + 1;
        }
    }
}

/// The place of a tag's `>`, outside of quotes.
fn end_of_tag(inside: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in inside.bytes().enumerate() {
        match (quote, c) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if inside[..at].trim_end().ends_with('=') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}
