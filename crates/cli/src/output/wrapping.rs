//! Texts on lines of a width.

use console::measure_text_width as width;

/// Breaks a text into lines of at most that width: behind blanks and the marks that join the parts of names, ids and
/// times, or anywhere if a part is wider than a line. Every `\n` ends a line; empty lines stay.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, columns.max(1))).collect()
}

fn wrap_line(text: &str, columns: usize) -> Vec<String> {
    if width(text) <= columns {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut filled = 0;
    for part in parts(text) {
        let mut part = part;
        if filled > 0 && filled + width(part.trim_end()) > columns {
            lines.push(String::new());
            filled = 0;
        }
        // What is left of a part that no line holds.
        while filled == 0 && width(part.trim_end()) > columns {
            let (kept, rest) = split_at_width(part, columns);
            if rest.is_empty() {
                break;
            }
            push(&mut lines, kept);
            lines.push(String::new());
            part = rest;
        }
        push(&mut lines, part);
        filled += width(part);
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

fn push(lines: &mut [String], part: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(part);
    }
}

/// The parts between which a line may be broken.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '-' | '_' | '/' | ',' | ';' | '&' | '?');
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut chars = rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let Some((next, following)) = chars.peek().copied() else { break };
            let is_end = is_mark(c) && !is_mark(following);
            // A day, and the time of it.
            let is_time = following == 'T' && c.is_ascii_digit() && rest[..at].ends_with(|c: char| c.is_ascii_digit());
            if is_end || is_time {
                let (part, behind) = rest.split_at(next);
                rest = behind;
                return Some(part);
            }
        }
        let part = std::mem::take(&mut rest);
        (!part.is_empty()).then_some(part)
    })
}

/// The width of the widest part that is not broken where it need not be.
#[cfg(feature = "query")]
pub(crate) fn widest_part(text: &str) -> usize {
    parts(text).map(|part| width(part.trim_end())).max().unwrap_or_default()
}

/// The longest beginning of at most that width, but at least one character, and the rest.
pub(crate) fn split_at_width(text: &str, columns: usize) -> (&str, &str) {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        if end > 0 && width(&text[..next]) > columns {
            break;
        }
        end = next;
    }
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_a_reader_would() {
        for (text, columns, wanted) in [
            ("Ask a question", 20, vec!["Ask a question"]),
            ("Ask a question", 8, vec!["Ask a", "question"]),
            ("Ask a question", 5, vec!["Ask a", "quest", "ion"]),
            ("one\n\ntwo three", 4, vec!["one", "", "two", "thre", "e"]),
            ("6f9619ff-8b86-d011-b42d-00c04fc964ff", 12, vec!["6f9619ff-", "8b86-d011-", "b42d-", "00c04fc964ff"]),
            ("6f9619ff-8b86-d011-b42d-00c04fc964ff", 14, vec!["6f9619ff-8b86-", "d011-b42d-", "00c04fc964ff"]),
            ("2026-11-02T10:00:00Z", 12, vec!["2026-11-02", "T10:00:00Z"]),
            ("net_positive_rate", 9, vec!["net_", "positive_", "rate"]),
            ("日本語日本語", 5, vec!["日本", "語日", "本語"]),
            ("日本", 1, vec!["日", "本"]),
            ("", 3, vec![""]),
        ] {
            let lines = wrap(text, columns);
            assert_eq!(lines, wanted, "{text} in {columns}");
            assert!(columns == 1 || lines.iter().all(|line| width(line) <= columns), "{lines:?}");
        }
    }
}
