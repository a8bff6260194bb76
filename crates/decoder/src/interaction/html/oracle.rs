//! The same text by html5ever's own tokenizer, and the work done by either: for tests only.

use std::rc::Rc;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tag, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use super::builder::{DocumentBuilder, SinkResult};
use super::roles::ATTRIBUTES;
use super::tree::Element;
use super::{render, tokens};

/// Name lookups and nodes created for this markup.
pub(crate) fn work(html: &str) -> u64 {
    let builder = DocumentBuilder::new();
    tokens::read(html, &builder);
    builder.finish().work()
}

/// The text of HTML.
pub(crate) fn text(html: &str) -> String {
    let tokenizer = Tokenizer::new(OracleSink(DocumentBuilder::new()), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    while !input.is_empty() {
        // The tokenizer stops after each script.
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    render::text(&tokenizer.sink.0.finish())
}

struct OracleSink(DocumentBuilder);

impl TokenSink for OracleSink {
    type Handle = Rc<Element>;

    fn process_token(&self, token: Token, _: u64) -> SinkResult {
        match token {
            Token::TagToken(tag) => {
                let mut attrs = tag.attrs;
                let is_font = &*tag.name == "font";
                attrs.retain(|attribute| match &*attribute.name.local {
                    "color" | "face" | "size" => is_font,
                    name => ATTRIBUTES.contains(&name),
                });
                self.0.tag(Tag { attrs, had_duplicate_attributes: false, ..tag })
            }
            Token::CharacterTokens(text) => {
                self.0.text(&text);
                TokenSinkResult::Continue
            }
            Token::NullCharacterToken => {
                self.0.text("\0");
                TokenSinkResult::Continue
            }
            Token::EOFToken => TokenSinkResult::Continue,
            token => self.0.send(token),
        }
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.0.is_foreign()
    }
}
