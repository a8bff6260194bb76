//! What a person would read of an interaction.

use super::card;

/// An attachment of an interaction.
pub(super) struct Attachment {
    pub(super) id: String,
    pub(super) content_type: String,
    pub(super) content: String,
}

/// Stand in a body for the attachment whose place is between them: characters that no text has.
const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

/// Columns of a line that no text has: lines are not broken.
const WIDTH: usize = 1 << 16;

/// The body with placeholders replaced by the text of their adaptive card, HTML turned into text.
pub(super) fn readable(content: &str, is_html: bool, attachments: &[Attachment]) -> String {
    let (marked, named) = mark(content);
    let plain = if is_html { of_html(&marked) } else { marked };
    let mut shown = vec![false; attachments.len()];
    let mut text = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while let Some((before, after)) = rest.split_once(OPEN) {
        text.push_str(before);
        let Some((number, after)) = after.split_once(CLOSE) else { break };
        let id = number.parse::<usize>().ok().and_then(|number| named.get(number));
        let at = id.and_then(|id| attachments.iter().position(|attachment| attachment.id == *id));
        if let Some(at) = at {
            shown[at] = true;
            text.push_str(&of_card(&attachments[at]).unwrap_or_default());
        }
        rest = after;
    }
    text.push_str(rest);
    let text = text.trim();
    if !text.is_empty() {
        return text.to_owned();
    }
    // A body that says nothing: what a person sees are its cards.
    let others = attachments.iter().zip(shown).filter(|(_, shown)| !shown).filter_map(|(card, _)| of_card(card));
    others.collect::<Vec<_>>().join("\n\n")
}

fn of_card(attachment: &Attachment) -> Option<String> {
    (attachment.content_type == card::CARD).then(|| card::text(&attachment.content))?
}

/// Puts a mark in place of each placeholder, escaped or not, and gives the ids that they name.
fn mark(content: &str) -> (String, Vec<String>) {
    const FORMS: [(&str, &str); 2] =
        [("<attachment id=", "</attachment>"), ("&lt;attachment id=", "&lt;/attachment&gt;")];
    let (mut marked, mut ids) = (String::with_capacity(content.len()), Vec::new());
    let mut rest = content;
    loop {
        let found = FORMS.iter().filter_map(|(open, close)| Some((rest.find(open)?, *open, *close))).min();
        let Some((start, open, close)) = found else { break };
        let inside = &rest[start + open.len()..];
        let Some(end) = inside.find(close) else { break };
        marked.extend(rest[..start].chars().filter(|c| !matches!(*c, OPEN | CLOSE)));
        marked.push(OPEN);
        marked.push_str(&ids.len().to_string());
        marked.push(CLOSE);
        ids.push(id(&inside[..end]).to_owned());
        rest = &inside[end + close.len()..];
    }
    marked.extend(rest.chars().filter(|c| !matches!(*c, OPEN | CLOSE)));
    (marked, ids)
}

/// The id between its quotes, which may be escaped.
fn id(attribute: &str) -> &str {
    for quote in ["&quot;", "\"", "'"] {
        if let Some((id, _)) = attribute.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return id;
        }
    }
    attribute
}

/// HTML as text: headings, lists and tables stay readable; of links the text.
fn of_html(html: &str) -> String {
    let rendered = html2text::config::with_decorator(html2text::render::TrivialDecorator::new())
        .no_table_borders()
        .string_from_read(html.as_bytes(), WIDTH);
    rendered.unwrap_or_else(|_| html.to_owned())
}
