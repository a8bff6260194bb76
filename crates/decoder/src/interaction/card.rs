//! Adaptive cards: the text that they show.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

/// The content type of an adaptive card.
pub(super) const CARD: &str = "application/vnd.microsoft.card.adaptive";

/// Which block of an answer repeats another one, with footnotes in place of links.
const REPEATED: &str = "MessageTextField";

/// A block of text.
struct Block {
    id: Option<String>,
    text: String,
}

/// The text that a card shows; `None` when it shows none.
pub(super) fn text(content: &str) -> Option<String> {
    let mut blocks = Vec::new();
    match read(content).or_else(|| read(&mended(content))) {
        Some(body) => body.iter().for_each(|element| collect(element, &mut blocks)),
        None => blocks = texts(&mended(content)),
    }
    let unnamed = || blocks.iter().filter(|block| block.id.is_none());
    let said = Words::of(unnamed());
    let is_repeated = |block: &Block| said.repeat(block) || unnamed().any(|other| other.text == block.text);
    let shown = blocks.iter().filter(|block| block.id.as_deref() != Some(REPEATED) || !is_repeated(block));
    let text = shown.map(|block| block.text.trim()).filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join("\n\n");
    (!text.is_empty()).then_some(text)
}

/// The elements of a card; `None` when it is no card, or one that is nested deeper than JSON is read.
fn read(content: &str) -> Option<Vec<Value>> {
    #[derive(Deserialize)]
    struct Card {
        #[serde(default)]
        body: Vec<Value>,
    }
    serde_json::from_str(content).ok().map(|Card { body }| body)
}

/// JSON with a replacement character in place of each half of a surrogate pair.
fn mended(content: &str) -> String {
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut mended = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match unit(escape) {
            Some(0xD800..=0xDBFF) if matches!(unit(&escape[6..]), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => 6,
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at),
        };
        mended.push_str(if length == 6 { "\\ufffd" } else { &escape[..length] });
        rest = &escape[length..];
    }
    mended.push_str(rest);
    mended
}

/// Every `text` of what cannot be read as a card: nested too deep, or cut.
fn texts(content: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = content;
    let mut is_key = false;
    while let Some((between, string)) = rest.find('"').map(|at| rest.split_at(at)) {
        let Some(end) = end_of_string(string) else { break };
        let (string, after) = string.split_at(end);
        let is_value = between.trim() == ":";
        if is_value && is_key {
            blocks.extend(serde_json::from_str(string).ok().map(|text| Block { id: None, text }));
        }
        is_key = !is_value && string == "\"text\"";
        rest = after;
    }
    blocks
}

/// Where the JSON string at the start of a text ends.
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

/// Collects the text of an element and of those inside it, in the order in which they are shown.
fn collect(element: &Value, blocks: &mut Vec<Block>) {
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    match text("type") {
        Some("TextBlock" | "TextRun") => {
            let id = text("id").map(str::to_owned);
            blocks.extend(text("text").map(|text| Block { id, text: text.to_owned() }));
        }
        Some("RichTextBlock") => {
            let parts = element.get("inlines").and_then(Value::as_array).into_iter().flatten();
            let parts = parts.filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
            blocks.push(Block { id: text("id").map(str::to_owned), text: parts.collect() });
        }
        Some("FactSet") => {
            for fact in element.get("facts").and_then(Value::as_array).into_iter().flatten() {
                let part = |name: &str| fact.get(name).and_then(Value::as_str).unwrap_or_default();
                blocks.push(Block { id: None, text: format!("{}: {}", part("title"), part("value")) });
            }
        }
        _ => {}
    }
    for inside in ["items", "columns", "body", "rows", "cells"] {
        element.get(inside).and_then(Value::as_array).into_iter().flatten().for_each(|inner| collect(inner, blocks));
    }
}

/// The words of texts, without links and footnotes.
struct Words(HashSet<String>);

impl Words {
    fn of<'b>(blocks: impl IntoIterator<Item = &'b Block>) -> Self {
        let mut words = HashSet::new();
        for block in blocks {
            // `[1](https://...)`, `[^1^]` and `name[2]` number what they point at.
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

    /// Whether a block says nothing else: it has words, and nine of ten are among these.
    fn repeat(&self, block: &Block) -> bool {
        let Self(words) = Self::of([block]);
        !words.is_empty() && words.intersection(&self.0).count() * 10 >= words.len() * 9
    }
}
