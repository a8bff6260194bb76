//! The text of adaptive cards.

use std::collections::HashSet;

use serde_json::Value;

/// The content type of an adaptive card.
pub(super) const CARD: &str = "application/vnd.microsoft.card.adaptive";

/// The id of the block that repeats another one, with footnotes in place of links.
const REPEATED_ID: &str = "MessageTextField";

/// A block of text.
struct CardBlock {
    id: Option<String>,
    text: String,
    /// Whether it is an alternative text for something that is not text.
    is_alternative: bool,
}

/// The visible text of a card; `None` if it has none.
pub(super) fn text(content: &str) -> Option<String> {
    let mut blocks = Vec::new();
    let card = serde_json::from_str::<Value>(content).or_else(|_| serde_json::from_str(&repaired(content)));
    match &card {
        Ok(card) => elements(card, "body").for_each(|element| collect(element, &mut blocks)),
        // Nested too deeply for the JSON parser, or truncated.
        Err(_) => blocks = texts(&repaired(content)),
    }
    let unnamed = || blocks.iter().filter(|block| block.id.is_none() && !block.is_alternative);
    let unnamed_words = Words::of(unnamed());
    let unnamed: HashSet<&str> = unnamed().map(|block| block.text.trim()).collect();
    let is_repeated = |block: &CardBlock| unnamed_words.repeat(block) || unnamed.contains(block.text.trim());
    let mut texts: HashSet<&str> =
        blocks.iter().filter(|block| !block.is_alternative).map(|block| block.text.trim()).collect();
    let shown = blocks.iter().filter(|block| match block.id.as_deref() {
        _ if block.is_alternative => texts.insert(block.text.trim()),
        Some(REPEATED_ID) => !is_repeated(block),
        _ => true,
    });
    let text = shown.map(|block| block.text.trim()).filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join("\n\n");
    if !text.is_empty() {
        return Some(text);
    }
    // The alternative for the whole card, if nothing in it is text.
    let card = card.ok()?;
    let others = ["fallbackText", "speak"].into_iter().filter_map(|name| card.get(name)?.as_str());
    others.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
}

/// Replaces each unpaired surrogate in JSON by the replacement character.
fn repaired(content: &str) -> String {
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut repaired = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        repaired.push_str(before);
        let length = match unit(escape) {
            Some(0xD800..=0xDBFF) if matches!(unit(&escape[6..]), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => 6,
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at),
        };
        repaired.push_str(if length == 6 { "\\ufffd" } else { &escape[..length] });
        rest = &escape[length..];
    }
    repaired.push_str(rest);
    repaired
}

/// Every text in content that cannot be parsed as a card.
fn texts(content: &str) -> Vec<CardBlock> {
    let mut blocks = Vec::new();
    let mut rest = content;
    let mut key = None;
    while let Some((between, string)) = rest.find('"').map(|at| rest.split_at(at)) {
        let Some(end) = end_of_string(string) else { break };
        let (string, after) = string.split_at(end);
        let is_value = between.trim() == ":";
        if is_value && let Some(is_alternative) = key {
            blocks.extend(serde_json::from_str(string).ok().map(|text| CardBlock { id: None, text, is_alternative }));
        }
        key = match string {
            "\"text\"" | "\"codeSnippet\"" if !is_value => Some(false),
            "\"altText\"" if !is_value => Some(true),
            _ => None,
        };
        rest = after;
    }
    blocks
}

/// The end of the JSON string at the start of a text.
fn end_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = true;
    for (at, c) in text.bytes().enumerate() {
        match c {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Collects the text of an element and of its children, in display order.
fn collect(element: &Value, blocks: &mut Vec<CardBlock>) {
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    let mut push = |text: String, is_alternative: bool| {
        let id = element.get("id").and_then(Value::as_str).map(str::to_owned);
        blocks.push(CardBlock { id, text, is_alternative });
    };
    match text("type").unwrap_or_default() {
        "TextBlock" | "TextRun" | "Badge" => text("text").into_iter().for_each(|text| push(text.to_owned(), false)),
        "RichTextBlock" => {
            let parts = elements(element, "inlines").filter_map(|part| {
                let text = |name: &str| part.get(name).and_then(Value::as_str);
                part.as_str().or_else(|| text("text")).or_else(|| text("altText"))
            });
            push(parts.collect(), false);
        }
        "CodeBlock" => text("codeSnippet").into_iter().for_each(|text| push(text.to_owned(), false)),
        "FactSet" => {
            for fact in elements(element, "facts") {
                let part = |name: &str| fact.get(name).and_then(Value::as_str).unwrap_or_default();
                blocks.push(CardBlock {
                    id: None,
                    text: format!("{}: {}", part("title"), part("value")),
                    is_alternative: false,
                });
            }
        }
        kind if kind.starts_with("Input.") => {
            let shown = ["label", "title"].into_iter().filter_map(text);
            shown.for_each(|text| push(text.to_owned(), false));
        }
        // Images, media, charts: their alternative text.
        _ => text("altText").into_iter().for_each(|text| push(text.to_owned(), true)),
    }
    for inside in ["items", "columns", "body", "rows", "cells", "images", "pages"] {
        elements(element, inside).for_each(|inner| collect(inner, blocks));
    }
}

/// The elements of an array property.
fn elements<'e>(element: &'e Value, name: &str) -> impl Iterator<Item = &'e Value> {
    element.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The words of some texts, without links and footnotes.
struct Words(HashSet<String>);

impl Words {
    fn of<'b>(blocks: impl IntoIterator<Item = &'b CardBlock>) -> Self {
        let mut words = HashSet::new();
        for block in blocks {
            // Footnote markers: `[1](https://...)`, `[^1^]` and `name[2]`.
            let parts = block.text.split('[').map(|part| match part.split_once(']') {
                Some((inside, after)) if inside.bytes().all(|c| c.is_ascii_digit() || c == b'^') => after,
                _ => part,
            });
            for word in parts.flat_map(|part| part.split(|c: char| !c.is_alphanumeric())) {
                if !word.is_empty() {
                    words.insert(word.to_lowercase());
                }
            }
        }
        Self(words)
    }

    /// Whether a block adds nothing: it has words, and nine in ten of them are among these.
    fn repeat(&self, block: &CardBlock) -> bool {
        let Self(words) = Self::of([block]);
        !words.is_empty() && words.intersection(&self.0).count() * 10 >= words.len() * 9
    }
}
