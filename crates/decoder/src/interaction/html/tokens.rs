//! Markup to tags and text, by the rules of <https://html.spec.whatwg.org/multipage/parsing.html#tokenization>.
//!
//! html5ever's own tokenizer compares each attribute of a tag with all before it. This one keeps only the few
//! attributes that are needed; otherwise both produce the same tokens, which tests check against [`super::oracle`].

use std::borrow::Cow;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Tag, TagKind, TokenSinkResult};
use html5ever::{Attribute, LocalName, QualName, ns};
use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::builder::{DocumentBuilder, SinkResult};
use super::references::decoded;
use super::roles::ATTRIBUTES;

const SPACE: [char; 4] = ['\t', '\n', '\u{c}', ' '];

/// Reads a fragment of HTML to its end.
pub(super) fn read(html: &str, builder: &DocumentBuilder) {
    let html = html.strip_prefix('\u{feff}').unwrap_or(html);
    let html = match memchr(b'\r', html.as_bytes()) {
        Some(_) => Cow::Owned(html.replace("\r\n", "\n").replace('\r', "\n")),
        None => Cow::Borrowed(html),
    };
    let mut markup = Markup { rest: &html, builder };
    while let Some(at) = memchr(b'<', markup.rest.as_bytes()) {
        let (text, rest) = markup.rest.split_at(at);
        // What begins like markup may be text.
        let (open, rest) = rest.split_at(1);
        if rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            builder.text(&decoded(text, false));
            markup.rest = rest;
            markup.read();
        } else {
            // A character reference does not extend beyond it.
            builder.text(&decoded(text, false));
            builder.text(open);
            markup.rest = rest;
        }
    }
    builder.text(&decoded(markup.rest, false));
}

struct Markup<'h> {
    /// The markup not read yet.
    rest: &'h str,
    builder: &'h DocumentBuilder,
}

impl<'h> Markup<'h> {
    /// Reads what follows a `<` that begins markup.
    fn read(&mut self) {
        if let Some(end) = self.rest.strip_prefix('/') {
            if end.starts_with(|c: char| c.is_ascii_alphabetic()) {
                self.rest = end;
                self.end_tag();
            } else if let Some(after) = end.strip_prefix('>') {
                self.rest = after;
            } else if end.is_empty() {
                self.rest = end;
                self.builder.text("</");
            } else {
                self.bogus_comment(end);
            }
        } else if let Some(declaration) = self.rest.strip_prefix('!') {
            self.declaration(declaration);
        } else if self.rest.starts_with('?') {
            self.bogus_comment(self.rest);
        } else if let Some(tag) = self.tag(TagKind::StartTag) {
            let name = tag.name.clone();
            match self.builder.tag(tag) {
                TokenSinkResult::RawData(kind) => self.raw(&name, kind),
                TokenSinkResult::Plaintext => {
                    let text = std::mem::take(&mut self.rest);
                    self.builder.text(&without_nul(text));
                }
                TokenSinkResult::Continue | TokenSinkResult::Script(_) | TokenSinkResult::EncodingIndicator(_) => {}
            }
        }
    }

    fn end_tag(&mut self) {
        if let Some(tag) = self.tag(TagKind::EndTag) {
            // Whatever it ends, markup follows.
            let _: SinkResult = self.builder.tag(tag);
        }
    }

    fn declaration(&mut self, declaration: &'h str) {
        const CDATA: &str = "[CDATA[";
        if let Some(comment) = declaration.strip_prefix("--") {
            // `<!-->` and `<!--->` are complete comments.
            let is_end = |at: &usize| {
                let before = &comment[..*at];
                matches!(before, "" | "-") || before.ends_with("--") || before.ends_with("--!")
            };
            let end = memchr_iter(b'>', comment.as_bytes()).find(is_end);
            self.comment(comment, end);
        } else if let Some(text) = declaration.strip_prefix(CDATA).filter(|_| self.builder.is_foreign()) {
            let (text, rest) = text.split_once("]]>").unwrap_or((text, ""));
            self.builder.text(text);
            self.rest = rest;
        } else {
            // Includes doctypes, which mean nothing inside a document.
            self.bogus_comment(declaration);
        }
    }

    /// A malformed comment, up to the next `>`.
    fn bogus_comment(&mut self, comment: &'h str) {
        self.comment(comment, memchr(b'>', comment.as_bytes()));
    }

    /// Skips a comment up to its end, or the rest of the markup.
    fn comment(&mut self, comment: &'h str, end: Option<usize>) {
        self.rest = end.map_or("", |end| &comment[end + 1..]);
        self.builder.comment();
    }

    /// Reads the raw text of an element, and its end tag.
    fn raw(&mut self, name: &LocalName, kind: RawKind) {
        let end = match kind {
            RawKind::ScriptData | RawKind::ScriptDataEscaped(_) => end_of_script(self.rest),
            RawKind::Rawtext | RawKind::Rcdata => {
                let ends = memmem::find_iter(self.rest.as_bytes(), b"</");
                ends.into_iter().find(|at| is_tag(&self.rest.as_bytes()[at + 2..], name.as_bytes()))
            }
        };
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let text = without_nul(text);
        let text = if kind == RawKind::Rcdata { Cow::Owned(decoded(&text, false).into_owned()) } else { text };
        self.builder.text(&text);
        self.rest = rest.strip_prefix("</").unwrap_or(rest);
        if end.is_some() {
            self.end_tag();
        }
    }

    /// Reads a tag from its name onwards; `None` if the markup ends inside it.
    fn tag(&mut self, kind: TagKind) -> Option<Tag> {
        let is_end_of_name = |c: char| SPACE.contains(&c) || matches!(c, '/' | '>');
        let name = self.until(is_end_of_name)?;
        let name = LocalName::from(without_nul(name).to_ascii_lowercase());
        let mut tag = Tag { kind, name, self_closing: false, attrs: vec![], had_duplicate_attributes: false };
        loop {
            self.rest = self.rest.trim_start_matches(SPACE);
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Some(tag);
            }
            if let Some(rest) = self.rest.strip_prefix('/') {
                self.rest = rest;
                tag.self_closing = rest.starts_with('>');
                continue;
            }
            // An attribute name may begin with `=`.
            let begin = usize::from(self.rest.starts_with('='));
            let end = self.rest[begin..].find(|c| is_end_of_name(c) || c == '=');
            let Some(end) = end else {
                self.rest = "";
                return None;
            };
            let (name, rest) = self.rest.split_at(begin + end);
            self.rest = rest.trim_start_matches(SPACE);
            let value = match self.rest.strip_prefix('=') {
                Some(value) => self.value(value.trim_start_matches(SPACE))?,
                None => "",
            };
            keep(&mut tag, name, value);
        }
    }

    /// Reads an attribute's value; `None` if the markup ends inside it.
    fn value(&mut self, value: &'h str) -> Option<&'h str> {
        self.rest = value;
        match value.chars().next()? {
            quote @ ('"' | '\'') => {
                self.rest = &value[1..];
                let value = self.until(|c| c == quote)?;
                self.rest = &self.rest[1..];
                Some(value)
            }
            '>' => Some(""),
            _ => self.until(|c| SPACE.contains(&c) || c == '>'),
        }
    }

    /// Reads up to a matching character; `None`, with everything consumed, if there is none.
    fn until(&mut self, is_end: impl Fn(char) -> bool) -> Option<&'h str> {
        let Some(at) = self.rest.find(is_end) else {
            self.rest = "";
            return None;
        };
        let (before, rest) = self.rest.split_at(at);
        self.rest = rest;
        Some(before)
    }
}

/// Keeps an attribute that is needed and not present yet.
fn keep(tag: &mut Tag, name: &str, value: &str) {
    let Some(name) = ATTRIBUTES.iter().find(|known| known.eq_ignore_ascii_case(name)) else { return };
    // These three only matter for `font` elements.
    if matches!(*name, "color" | "face" | "size") && &*tag.name != "font" {
        return;
    }
    if tag.attrs.iter().all(|attribute| &*attribute.name.local != *name) {
        let value = StrTendril::from_slice(&decoded(&without_nul(value), true));
        tag.attrs.push(Attribute { name: QualName::new(None, ns!(), LocalName::from(*name)), value });
    }
}

fn without_nul(text: &str) -> Cow<'_, str> {
    match memchr(0, text.as_bytes()) {
        Some(_) => Cow::Owned(text.replace('\0', "\u{fffd}")),
        None => Cow::Borrowed(text),
    }
}

/// Whether text begins with a tag's name and a delimiter.
fn is_tag(text: &[u8], name: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0xc | b' ' | b'/' | b'>');
    text.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
        && text.get(name.len()).is_some_and(is_end)
}

/// The position of the end tag of a script. One inside a comment that opens another script does not count.
fn end_of_script(script: &str) -> Option<usize> {
    enum Inside {
        Script,
        Comment,
        Nested,
    }
    let bytes = script.as_bytes();
    let mut inside = Inside::Script;
    let mut at = 0;
    while let Some(next) = memchr2(b'<', b'-', &bytes[at..]) {
        at += next;
        let text = &bytes[at..];
        if text[0] == b'-' {
            if text.starts_with(b"-->") {
                inside = Inside::Script;
            }
            at += 1;
            continue;
        }
        let is_end = text.starts_with(b"</") && is_tag(&text[2..], b"script");
        match inside {
            Inside::Script | Inside::Comment if is_end => return Some(at),
            Inside::Nested if is_end => inside = Inside::Comment,
            Inside::Script if text.starts_with(b"<!--") => {
                inside = Inside::Comment;
                // Its dashes may also belong to its end.
                at += 1;
            }
            Inside::Comment if is_tag(&text[1..], b"script") => inside = Inside::Nested,
            _ => {}
        }
        at += 1;
    }
    None
}
