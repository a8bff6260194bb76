//! The readable text of an interaction.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{card, html};

/// An attachment of an interaction.
pub(super) struct Attachment {
    pub(super) id: String,
    pub(super) content_type: String,
    pub(super) content: String,
}

/// Markers around an attachment's number in a body: code points that are never characters.
const OPEN: char = '\u{FDD0}';
const CLOSE: char = '\u{FDD1}';

/// The body, HTML converted to text, with placeholders replaced by the text of their adaptive cards.
pub(super) fn readable(content: &str, is_html: bool, attachments: &[Attachment]) -> String {
    let content = if is_html { Cow::Owned(html::text(content)) } else { Cow::Borrowed(content) };
    let (plain, named) = mark(&content);
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, attachment) in attachments.iter().enumerate() {
        places.entry(&attachment.id).or_insert(at);
    }
    let mut shown = vec![false; attachments.len()];
    let mut text = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while let Some((before, after)) = rest.split_once(OPEN) {
        text.push_str(before);
        let Some((number, after)) = after.split_once(CLOSE) else { break };
        let id = number.parse::<usize>().ok().and_then(|number| named.get(number));
        // A card is shown once, even if referenced again.
        if let Some(at) = id.and_then(|id| places.get(id)).filter(|at| !shown[**at]) {
            shown[*at] = true;
            text.push_str(&of_card(&attachments[*at]).unwrap_or_default());
        }
        rest = after;
    }
    text.push_str(rest);
    let text = text.trim();
    if !text.is_empty() {
        return text.to_owned();
    }
    // An empty body: what people see are its cards.
    let others = attachments.iter().zip(shown).filter(|(_, shown)| !shown).filter_map(|(card, _)| of_card(card));
    others.collect::<Vec<_>>().join("\n\n")
}

fn of_card(attachment: &Attachment) -> Option<String> {
    (attachment.content_type == card::CARD).then(|| card::text(&attachment.content))?
}

/// Replaces each attachment placeholder, escaped or not, by a marker, and returns the ids in order.
fn mark(content: &str) -> (String, Vec<&str>) {
    const NAME: &str = "attachment id=";
    const FORMS: [[&str; 3]; 2] = [["<", ">", "</attachment>"], ["&lt;", "&gt;", "&lt;/attachment&gt;"]];
    let (mut marked, mut ids) = (String::with_capacity(content.len()), Vec::new());
    let mut rest = content;
    // Forms without any further end tag: not searched for again.
    let mut endless = [false; FORMS.len()];
    while let Some((before, inside)) = rest.split_once(NAME) {
        let form = (0..FORMS.len()).find(|form| before.ends_with(FORMS[*form][0]) && !endless[*form]);
        let tag = form.and_then(|form| {
            let tag = inside.split_once(FORMS[form][1]);
            endless[form] = tag.is_none();
            tag.map(|(attribute, after)| (FORMS[form], attribute, after))
        });
        if let Some(([start, _, end], attribute, after)) = tag {
            push(&mut marked, before.strip_suffix(start).unwrap_or(before));
            marked.extend([OPEN.to_string(), ids.len().to_string(), CLOSE.to_string()]);
            ids.push(id(attribute));
            rest = after.trim_start().strip_prefix(end).unwrap_or(after);
        } else {
            push(&mut marked, before);
            marked.push_str(NAME);
            rest = inside;
        }
    }
    push(&mut marked, rest);
    (marked, ids)
}

/// Appends text, dropping characters that could be taken for markers.
fn push(marked: &mut String, text: &str) {
    marked.extend(text.chars().filter(|c| !matches!(*c, OPEN | CLOSE)));
}

/// The id between its quotes, which may be escaped.
fn id(attribute: &str) -> &str {
    for quote in ["&quot;", "&#34;", "\"", "'"] {
        if let Some((id, _)) = attribute.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return id;
        }
    }
    attribute.trim_end_matches([' ', '/'])
}
