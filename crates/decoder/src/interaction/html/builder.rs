//! Feeds tokens to html5ever's tree builder, withholding those that would cost more than linear time or memory.
//!
//! The tree builder searches all open elements over and over, so time grows with the square of their number; and it
//! reopens unclosed formatting elements in each paragraph, so memory does too. The text depends on neither: formatting
//! elements become `span`, and of elements nested deeper than [`DEPTH`] only the line breaks remain.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use html5ever::interface::Tracer;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{LocalName, local_name};

use super::roles::{CHILDLESS, FORMATTING, has_lines};
use super::tree::{Element, Tree};

/// Maximum number of open elements: somewhat more than in mail with many nested replies.
const DEPTH: usize = 128;

pub(super) type SinkResult = TokenSinkResult<Rc<Element>>;

/// Builds a tree from tokens.
pub(super) struct DocumentBuilder {
    builder: TreeBuilder<Rc<Element>, Tree>,
    /// Withheld elements by name that have not ended yet.
    left_out: RefCell<HashMap<LocalName, usize>>,
    /// Whether the maximum is reached; cached until a tag is sent.
    is_full: Cell<bool>,
    /// Whether a line break was emitted with no text after it yet.
    is_apart: Cell<bool>,
}

impl DocumentBuilder {
    pub(super) fn new() -> Self {
        let tree = Tree::new();
        let context = tree.context();
        // No scripts are run, so `noscript` content is shown.
        let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
        let builder = TreeBuilder::new_for_fragment(tree, context, None, options);
        Self { builder, left_out: RefCell::default(), is_full: Cell::new(false), is_apart: Cell::new(false) }
    }

    /// The finished tree.
    pub(super) fn finish(self) -> Tree {
        self.forward(Token::EOFToken);
        self.builder.sink
    }

    /// Whether the current element is SVG or MathML.
    pub(super) fn is_foreign(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }

    pub(super) fn send(&self, token: Token) -> SinkResult {
        // The line number is only used for errors.
        self.builder.process_token(token, 1)
    }

    pub(super) fn text(&self, text: &str) {
        self.is_apart.set(self.is_apart.get() && text.is_empty());
        for (at, part) in text.split('\0').enumerate() {
            if at > 0 {
                self.forward(Token::NullCharacterToken);
            }
            if !part.is_empty() {
                self.forward(Token::CharacterTokens(StrTendril::from_slice(part)));
            }
        }
    }

    /// A comment; its text is dropped.
    pub(super) fn comment(&self) {
        self.forward(Token::CommentToken(StrTendril::new()));
    }

    /// A tag; the result says how the markup after a start tag is to be read.
    pub(super) fn tag(&self, mut tag: Tag) -> SinkResult {
        if is(&tag.name, &FORMATTING) {
            // These two exist in SVG, too. Others end it, as a `span` does.
            let is_own = match &*tag.name {
                "a" => true,
                "font" => tag.kind == TagKind::EndTag || tag.attrs.is_empty(),
                _ => false,
            };
            if !(is_own && self.is_foreign()) {
                (tag.name, tag.attrs) = (local_name!("span"), vec![]);
            }
        }
        let mut left_out = self.left_out.borrow_mut();
        let is_left_out = match tag.kind {
            TagKind::EndTag => match left_out.get_mut(&tag.name) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    true
                }
                _ => false,
            },
            TagKind::StartTag => {
                let stays_open = self.is_foreign() || !is(&tag.name, &CHILDLESS);
                let is_left_out = stays_open && self.is_full();
                if is_left_out && !tag.self_closing {
                    *left_out.entry(tag.name.clone()).or_default() += 1;
                }
                is_left_out
            }
        };
        if !is_left_out {
            self.is_full.set(false);
            self.is_apart.set(false);
            return self.send(Token::TagToken(tag));
        }
        if has_lines(&tag.name) && !self.is_apart.replace(true) {
            for kind in [TagKind::StartTag, TagKind::EndTag] {
                let (name, attrs) = (local_name!("div"), vec![]);
                let tag = Tag { kind, name, self_closing: false, attrs, had_duplicate_attributes: false };
                self.forward(Token::TagToken(tag));
            }
        }
        if is(&tag.name, &["td", "th"]) {
            self.forward(Token::CharacterTokens(StrTendril::from_char(' ')));
        }
        TokenSinkResult::Continue
    }

    /// Sends a token that does not change how the markup is read.
    fn forward(&self, token: Token) {
        let answer = self.send(token);
        debug_assert!(
            matches!(answer, TokenSinkResult::Continue),
            "few tags change how text is read, and they came as such"
        );
    }

    fn is_full(&self) -> bool {
        if !self.is_full.get() {
            // Slightly more than the open elements: includes what else the tree builder holds.
            let count = Count(Cell::new(0));
            self.builder.trace_handles(&count);
            self.is_full.set(count.0.get() >= DEPTH);
        }
        self.is_full.get()
    }
}

fn is(name: &LocalName, names: &[&str]) -> bool {
    names.contains(&&**name)
}

struct Count(Cell<usize>);

impl Tracer for Count {
    type Handle = Rc<Element>;

    fn trace_handle(&self, _: &Rc<Element>) {
        self.0.set(self.0.get() + 1);
    }
}
