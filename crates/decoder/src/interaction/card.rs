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

/// The text that a card shows; `None` when it is no card or shows none.
pub(super) fn text(content: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Card {
        #[serde(default)]
        body: Vec<Value>,
    }
    let card: Card = serde_json::from_str(content).ok()?;
    let mut blocks = Vec::new();
    card.body.iter().for_each(|element| collect(element, &mut blocks));
    let shown: Vec<&Block> = blocks.iter().filter(|block| !is_repeated(block, &blocks)).collect();
    let text = shown.iter().map(|block| block.text.trim()).filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join("\n\n");
    (!text.is_empty()).then_some(text)
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

/// Whether a block says once more, with footnotes, what a block without a name says.
fn is_repeated(block: &Block, blocks: &[Block]) -> bool {
    let others = || blocks.iter().filter(|other| other.id.is_none());
    block.id.as_deref() == Some(REPEATED) && others().any(|other| are_alike(&other.text, &block.text))
}

/// Whether two texts differ in little but links and footnotes: nine of ten words of the shorter one are in the other.
fn are_alike(a: &str, b: &str) -> bool {
    let words = |text: &'_ str| -> HashSet<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (a, b) = (words(a), words(b));
    let (shorter, longer) = if a.len() < b.len() { (&a, &b) } else { (&b, &a) };
    let common = shorter.intersection(longer).count();
    common * 10 >= shorter.len() * 9
}
