//! A document as text.

use super::roles::Role;
use super::tree::{Tree, Visit};

/// Maximum indent in columns: text stays a small multiple of its markup.
const INDENT: usize = 16;

/// The text that a document shows.
pub(super) fn text(tree: &Tree) -> String {
    let mut writer = TextWriter::default();
    tree.walk(|visit| {
        match visit {
            Visit::Start(role, only_text) => return writer.start(role, only_text),
            Visit::Text(text) => writer.text(text),
            Visit::End(role) => writer.end(role),
        }
        true
    });
    writer.text
}

#[derive(Default)]
struct TextWriter {
    text: String,
    /// Line feeds due before the next text.
    breaks: usize,
    /// Whether they come from the end of a paragraph.
    is_margin: bool,
    /// Whether a space is due before the next text.
    space: bool,
    /// Line breaks are suppressed until the text is longer than this.
    held: usize,
    /// State saved at the start of each open element.
    open: Vec<Before>,
    /// The next number of each open list.
    lists: Vec<Option<i64>>,
    /// Current indent in columns.
    indent: usize,
    /// List markers not written yet, and the indent at which they begin.
    markers: String,
    markers_at: usize,
    /// Open elements that preserve white space.
    verbatim: usize,
}

struct Before {
    length: usize,
    held: usize,
    indent: usize,
    markers: usize,
}

impl TextWriter {
    /// Begins an element; returns whether its content is shown.
    fn start(&mut self, role: &Role, only_text: Option<&str>) -> bool {
        self.lines(role, false);
        let (length, held, indent, markers) = (self.text.len(), self.held, self.indent, self.markers.len());
        self.open.push(Before { length, held, indent, markers });
        match role {
            Role::Hidden => return false,
            Role::List(number) => self.lists.push(*number),
            Role::Item(value) => self.item(*value),
            Role::Indented => self.indent += 2,
            Role::Cell => {
                self.space = true;
                self.held = self.text.len();
            }
            Role::Preformatted | Role::Verbatim => self.verbatim += 1,
            Role::LineBreak => self.line_break(),
            Role::Quotation => self.word("\u{201c}"),
            // Marks the place of a card, which is recognised by this tag.
            Role::Attachment(id) => {
                let id = id.replace(['<', '>', '"'], "");
                self.word(&format!("<attachment id=\"{id}\"></attachment>"));
            }
            Role::Superscript => {
                if let Some(raised) = only_text.and_then(raised) {
                    self.word(&raised);
                    return false;
                }
            }
            Role::Inline | Role::Block | Role::Paragraph | Role::Table | Role::Row | Role::Alternative(_) => {}
        }
        true
    }

    /// Ends an element.
    fn end(&mut self, role: &Role) {
        let Some(Before { length, held, indent, markers }) = self.open.pop() else { return };
        let is_empty = self.text.len() == length;
        match role {
            Role::List(_) => drop(self.lists.pop()),
            // An item without text is dropped.
            Role::Item(_) => self.markers.truncate(markers),
            Role::Cell => {
                if !is_empty {
                    (self.breaks, self.space) = (0, true);
                }
                self.held = held;
            }
            Role::Preformatted | Role::Verbatim => self.verbatim -= 1,
            Role::Quotation => self.word("\u{201d}"),
            Role::Alternative(text) if is_empty => self.collapsed(text),
            _ => {}
        }
        self.indent = indent;
        self.lines(role, true);
    }

    /// Breaks the line where an element begins or ends.
    fn lines(&mut self, role: &Role, is_end: bool) {
        let breaks = match role {
            Role::Paragraph | Role::Preformatted => 2,
            Role::Table if !is_end => 2,
            Role::Block | Role::Table | Role::Row | Role::List(_) | Role::Item(_) | Role::Indented => 1,
            _ => return,
        };
        if self.text.len() <= self.held {
            return;
        }
        if self.breaks < breaks {
            (self.breaks, self.is_margin) = (breaks, breaks > 1);
        } else if self.is_margin && matches!(role, Role::List(_)) && !is_end {
            // A list follows its introduction without an empty line.
            (self.breaks, self.is_margin) = (breaks, false);
        }
    }

    fn line_break(&mut self) {
        if self.text.len() > self.held {
            (self.breaks, self.is_margin) = (self.breaks + 1, false);
        }
    }

    fn item(&mut self, value: Option<i64>) {
        let marker = match self.lists.last_mut() {
            Some(Some(next)) => {
                let number = value.unwrap_or(*next);
                *next = number + 1;
                format!("{number}. ")
            }
            _ => "- ".to_owned(),
        };
        if self.markers.is_empty() {
            self.markers_at = self.indent;
        }
        self.markers.push_str(&marker);
        self.indent += marker.len();
    }

    fn text(&mut self, text: &str) {
        if self.verbatim == 0 {
            self.collapsed(text);
            return;
        }
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.line_break();
            }
            if !line.is_empty() {
                self.word(line);
            }
        }
    }

    /// Writes words, collapsing white space to single spaces.
    fn collapsed(&mut self, text: &str) {
        let is_space = |c: char| c.is_ascii_whitespace();
        for (at, word) in text.split(is_space).enumerate() {
            self.space |= at > 0;
            if !word.is_empty() {
                self.word(word);
            }
        }
    }

    /// Writes text without surrounding white space.
    fn word(&mut self, word: &str) {
        if self.breaks > 0 || self.text.is_empty() {
            self.text.extend(std::iter::repeat_n('\n', self.breaks));
            let indent = if self.markers.is_empty() { self.indent } else { self.markers_at };
            self.text.extend(std::iter::repeat_n(' ', indent.min(INDENT)));
        } else if self.space {
            self.text.push(' ');
        }
        self.text.push_str(&self.markers);
        self.markers.clear();
        (self.breaks, self.space) = (0, false);
        self.text.push_str(word);
    }
}

/// Superscript digits.
fn raised(text: &str) -> Option<String> {
    const DIGITS: [char; 10] = [
        '\u{2070}', '\u{b9}', '\u{b2}', '\u{b3}', '\u{2074}', '\u{2075}', '\u{2076}', '\u{2077}', '\u{2078}',
        '\u{2079}',
    ];
    text.chars().map(|c| Some(DIGITS[c.to_digit(10)? as usize])).collect()
}
