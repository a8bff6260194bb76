//! Transcripts to rows of `transcript_message` and `transcript_source`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray,
    TimestampMicrosecondBuilder,
};
use copilot_lake_tables::{Instant, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table, Week};

use super::model::{ChatContext, CitedSource, JsonText, Message, MisfitPlace, TranscriptMisfit};
use super::read::read;
use crate::extra_json::{EXTRA_JSON, Extra, RefusedProperties};
use crate::repetition::may_repeat;
use crate::stored_id::stored_id;
use crate::week::by_week;
use crate::{Error, Reject, assemble};

/// Messages that there is room for at first.
const MESSAGES: usize = 1024;
/// Bytes of a File for each byte of its messages, where it is base64 of UTF-16LE: a fifth of its text is structure.
const MESSAGE_SHARE: usize = 3;

/// The rows of several transcripts.
#[derive(Default)]
pub(crate) struct TranscriptRows {
    messages: MessageRows,
    sources: SourceRows,
    rejects: Vec<(&'static Table, Reject)>,
}

/// The decoded rows of some transcripts.
pub(crate) struct TranscriptBatches {
    pub(crate) messages: Vec<(Week, RecordBatch)>,
    pub(crate) sources: Vec<(Week, RecordBatch)>,
    pub(crate) rejects: Vec<(&'static Table, Reject)>,
}

impl TranscriptRows {
    /// No rows yet, with room for the messages of Files of so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let message = StringBuilder::with_capacity(MESSAGES, bytes / MESSAGE_SHARE);
        Self { messages: MessageRows { message, ..MessageRows::default() }, ..Self::default() }
    }

    /// Adds the rows of a transcript, with its stored id and its row's time.
    ///
    /// # Errors
    /// Why the text is not a transcript, without quoting it; nothing was added.
    pub(crate) fn append(&mut self, id: &str, row_time: Instant, text: &str) -> Result<(), String> {
        let transcript = read(text)?;
        let mut messages = transcript.messages;
        // Chat properties are in the row of every message, and its id in that of each of its sources and misfits.
        if !may_repeat(transcript.chat.bytes().saturating_mul(messages.len()), text) {
            return Err("its context is too long to be repeated".to_owned());
        }
        let extras: Vec<_> = messages.iter_mut().map(Message::take_extra).collect();
        let names = message_ids(&messages);
        if !may_repeat(repeated_ids(&messages, &names, &transcript.misfits), text) {
            return Err("the ids of its messages are too long to be repeated".to_owned());
        }
        for ((message, name), extra) in messages.iter().zip(&names).zip(extras) {
            let extra = self.extra(&extra, &TRANSCRIPT_MESSAGE, || format!("{id}/{name}"));
            self.messages.append(id, name, row_time, &transcript.chat, message, extra);
            for source in message.sources.iter().flatten() {
                let key = || format!("{id}/{name}/{}", source.position);
                let extra = self.extra(&source.extra, &TRANSCRIPT_SOURCE, key);
                self.sources.append(id, name, row_time, source, extra);
            }
        }
        let name = |index: usize| match messages.binary_search_by_key(&index, |message| message.index) {
            Ok(at) => names[at].clone(),
            Err(_) => Cow::Owned(generated_id(index)),
        };
        for TranscriptMisfit { place, column, reason, raw } in transcript.misfits {
            let (table, record_key) = match place {
                // Sent once, but null in every row: the first message stands for all.
                MisfitPlace::Chat => match names.first() {
                    Some(first) => (&TRANSCRIPT_MESSAGE, format!("{id}/{first}")),
                    None => continue,
                },
                MisfitPlace::Message(index) => (&TRANSCRIPT_MESSAGE, format!("{id}/{}", name(index))),
                MisfitPlace::Source(index, position) => {
                    (&TRANSCRIPT_SOURCE, format!("{id}/{}/{position}", name(index)))
                }
            };
            let (reason, raw_json) = (reason.to_owned(), raw.to_owned());
            self.rejects.push((table, Reject { record_key, column_name: column, reason, raw_json }));
        }
        Ok(())
    }

    /// The text of `extra_json`; rejected properties become a reject.
    fn extra(&mut self, extra: &Extra<'_>, table: &'static Table, key: impl FnOnce() -> String) -> Option<String> {
        let (extra, refused) = extra.finish();
        if let Some(RefusedProperties { reason, raw }) = refused {
            let reason = reason.to_owned();
            self.rejects.push((table, Reject { record_key: key(), column_name: EXTRA_JSON, reason, raw_json: raw }));
        }
        extra
    }

    pub(crate) fn finish(self, extracted_at: Instant) -> Result<TranscriptBatches, Error> {
        let Self { messages, sources, rejects } = self;
        Ok(TranscriptBatches {
            messages: messages.finish(extracted_at)?,
            sources: sources.finish(extracted_at)?,
            rejects,
        })
    }
}

/// The id of each message: its own, otherwise one generated from its index.
fn message_ids<'m>(messages: &'m [Message<'_>]) -> Vec<Cow<'m, str>> {
    let mut seen = HashSet::with_capacity(messages.len());
    let ids = messages.iter().map(|message| {
        let own = message.id.as_ref().map(|id| stored_id(id.as_str()));
        match own.filter(|id| !id.is_empty() && !looks_generated(id)) {
            Some(id) if seen.insert(id.clone()) => id,
            _ => Cow::Owned(generated_id(message.index)),
        }
    });
    ids.collect()
}

/// Bytes of the ids of messages, once for each of their sources and misfits.
fn repeated_ids(messages: &[Message<'_>], names: &[Cow<'_, str>], misfits: &[TranscriptMisfit<'_>]) -> usize {
    let sources = messages.iter().zip(names).map(|(message, name)| {
        let sources = message.sources.as_ref().map_or(0, Vec::len);
        name.len().saturating_mul(sources)
    });
    let misfits = misfits.iter().filter_map(|misfit| match misfit.place {
        MisfitPlace::Chat => None,
        MisfitPlace::Message(index) | MisfitPlace::Source(index, _) => {
            let at = messages.binary_search_by_key(&index, |message| message.index).ok()?;
            Some(names[at].len())
        }
    });
    sources.chain(misfits).fold(0, usize::saturating_add)
}

fn generated_id(index: usize) -> String {
    format!("#{index}")
}

/// An id that looks generated could collide with a generated one.
fn looks_generated(id: &str) -> bool {
    id.strip_prefix('#').is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_digit()))
}

impl<'a> Message<'a> {
    /// The unknown properties of the message, including those of its context.
    fn take_extra(&mut self) -> Extra<'a> {
        let mut extra = std::mem::take(&mut self.extra);
        if let Some(context) = &mut self.context {
            extra.push_nested("context", std::mem::take(&mut context.extra));
        }
        extra
    }
}

impl ChatContext<'_> {
    fn bytes(&self) -> usize {
        let parts = [&self.chat_id, &self.session_id, &self.entity_id, &self.entity_name];
        parts.into_iter().flatten().map(|text| text.as_str().len()).sum()
    }
}

/// Columns that both tables share.
#[derive(Default)]
struct CommonRows {
    transcript_data_id: StringBuilder,
    message_id: StringBuilder,
    row_time: Vec<i64>,
    extra_json: StringBuilder,
}

impl CommonRows {
    fn append(&mut self, id: &str, message_id: &str, row_time: Instant, extra: Option<String>) {
        self.transcript_data_id.append_value(id);
        self.message_id.append_value(message_id);
        self.row_time.push(row_time.0);
        self.extra_json.append_option(extra);
    }

    fn finish(mut self, extracted_at: Instant) -> Vec<(&'static str, ArrayRef)> {
        let utc = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
        let rows = self.row_time.len();
        vec![
            ("transcript_data_id", Arc::new(self.transcript_data_id.finish())),
            ("message_id", Arc::new(self.message_id.finish())),
            ("row_time", utc(self.row_time)),
            ("extracted_at", utc(vec![extracted_at.0; rows])),
            ("extra_json", Arc::new(self.extra_json.finish())),
        ]
    }
}

#[derive(Default)]
struct MessageRows {
    common: CommonRows,
    sent_at: TimestampMicrosecondBuilder,
    sequence: Int32Builder,
    role: StringBuilder,
    request_id: StringBuilder,
    chat_id: StringBuilder,
    session_id: StringBuilder,
    entity_id: StringBuilder,
    entity_name: StringBuilder,
    is_activity_error: BooleanBuilder,
    source_count: Int32Builder,
    customer_intent: StringBuilder,
    message: StringBuilder,
}

impl MessageRows {
    fn append(
        &mut self,
        id: &str,
        message_id: &str,
        row_time: Instant,
        chat: &ChatContext<'_>,
        message: &Message<'_>,
        extra: Option<String>,
    ) {
        let context = message.context.as_ref();
        self.common.append(id, message_id, row_time, extra);
        self.sent_at.append_option(message.sent_at.map(|sent_at| sent_at.0.0));
        self.sequence.append_option(message.sequence);
        append_text(&mut self.role, message.role.as_ref());
        append_id(&mut self.request_id, message.request_id.as_ref());
        append_id(&mut self.chat_id, chat.chat_id.as_ref());
        append_text(&mut self.session_id, chat.session_id.as_ref());
        append_text(&mut self.entity_id, chat.entity_id.as_ref());
        append_text(&mut self.entity_name, chat.entity_name.as_ref());
        self.is_activity_error.append_option(message.is_activity_error);
        self.source_count.append_option(message.source_count);
        append_text(&mut self.customer_intent, context.and_then(|context| context.customer_intent.as_ref()));
        append_text(&mut self.message, message.text.as_ref());
    }

    fn finish(mut self, extracted_at: Instant) -> Result<Vec<(Week, RecordBatch)>, Error> {
        let mut named = self.common.finish(extracted_at);
        named.push(("sent_at", Arc::new(self.sent_at.finish().with_timezone("UTC"))));
        named.push(("sequence", Arc::new(self.sequence.finish())));
        named.push(("is_activity_error", Arc::new(self.is_activity_error.finish())));
        named.push(("source_count", Arc::new(self.source_count.finish())));
        let texts = [
            ("role", &mut self.role),
            ("request_id", &mut self.request_id),
            ("chat_id", &mut self.chat_id),
            ("session_id", &mut self.session_id),
            ("entity_id", &mut self.entity_id),
            ("entity_name", &mut self.entity_name),
            ("customer_intent", &mut self.customer_intent),
            ("message", &mut self.message),
        ];
        named.extend(texts.map(|(name, builder)| (name, Arc::new(builder.finish()) as ArrayRef)));
        by_week(&TRANSCRIPT_MESSAGE, assemble(&TRANSCRIPT_MESSAGE, named)?)
    }
}

#[derive(Default)]
struct SourceRows {
    common: CommonRows,
    position: Int32Builder,
    source_id: StringBuilder,
    source: StringBuilder,
    title: StringBuilder,
}

impl SourceRows {
    fn append(
        &mut self,
        id: &str,
        message_id: &str,
        row_time: Instant,
        source: &CitedSource<'_>,
        extra: Option<String>,
    ) {
        self.common.append(id, message_id, row_time, extra);
        // A text has far fewer bytes than fit into an i32.
        self.position.append_value(source.position as i32);
        append_id(&mut self.source_id, source.id.as_ref());
        append_text(&mut self.source, source.source.as_ref());
        append_text(&mut self.title, source.title.as_ref());
    }

    fn finish(mut self, extracted_at: Instant) -> Result<Vec<(Week, RecordBatch)>, Error> {
        let mut named = self.common.finish(extracted_at);
        named.push(("position", Arc::new(self.position.finish())));
        named.push(("source_id", Arc::new(self.source_id.finish())));
        named.push(("source", Arc::new(self.source.finish())));
        named.push(("title", Arc::new(self.title.finish())));
        by_week(&TRANSCRIPT_SOURCE, assemble(&TRANSCRIPT_SOURCE, named)?)
    }
}

fn append_text(builder: &mut StringBuilder, text: Option<&JsonText<'_>>) {
    builder.append_option(text.map(JsonText::as_str));
}

fn append_id(builder: &mut StringBuilder, id: Option<&JsonText<'_>>) {
    builder.append_option(id.map(|id| stored_id(id.as_str())));
}
