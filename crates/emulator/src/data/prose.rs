//! Longer texts of rows and Files, as in `templates/files.toml`: chats, insights, summaries.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::data::random::{Random, mix};
use crate::data::row_facts::RowFacts;
use crate::data::template::{QuotedText, SeededGuid, Template, TemplateValues, Weighted, parse};
use crate::data::texts::{DATAVERSE, Language};

#[derive(Debug, Deserialize)]
struct FileTemplates {
    zone: Weighted<String>,
    parameters: Template,
    plain_summary: Template,
    markdown_summary: Template,
    issue: Template,
    summary: Template,
    failed_summary: Template,
    transcript: Template,
    question: Template,
    answer: Template,
    sources: Template,
    source: Template,
    insights: Template,
    insight: Template,
    sentiment: Template,
}

static TEMPLATES: LazyLock<FileTemplates> =
    LazyLock::new(|| parse("files.toml", include_str!("../../templates/files.toml")));

/// The opening question of a chat: its title, and the first message of its File.
pub(crate) fn question(facts: &RowFacts, language: Language) -> &'static str {
    DATAVERSE.prompts.pick(&mut facts.random(26), language)
}

/// Parameters as a JSON object.
pub(crate) fn parameters(facts: &RowFacts) -> String {
    TEMPLATES.parameters.text(&[("session", &SeededGuid(mix(facts.session, 1)))])
}

/// A summary as the service has been seen to send it: plain text, Markdown, or a JSON object.
pub(crate) fn summary(facts: &RowFacts, language: Language) -> String {
    let mut random = facts.random(27);
    let (first, second) =
        (DATAVERSE.sentences.pick(&mut random, language), DATAVERSE.sentences.pick(&mut random, language));
    let sentences: TemplateValues<'_> = &[("first", &first), ("second", &second)];
    match random.below(10) {
        0..=4 => TEMPLATES.summary.text(&[("issue", &QuotedText(&TEMPLATES.issue.text(sentences)))]),
        5 => TEMPLATES.failed_summary.text(sentences),
        6 | 7 => TEMPLATES.markdown_summary.text(sentences),
        _ => TEMPLATES.plain_summary.text(sentences),
    }
}

/// The File of a chat: a question and its answer, sometimes two of each.
pub(crate) fn transcript(facts: &RowFacts) -> String {
    let random = &mut facts.random(28);
    let language = Language::any(random);
    let request = SeededGuid(facts.request);
    let mut messages = Vec::new();
    let mut time = facts.client * 1_000 + random.below(1_000) as i64;
    let turns = 1 + i64::from(random.chance(250));
    for turn in 0..turns {
        let prompt = if turn == 0 { question(facts, language) } else { DATAVERSE.prompts.pick(random, language) };
        let values: TemplateValues<'_> = &[
            ("id", &SeededGuid(random.next())),
            ("message", &QuotedText(prompt)),
            ("request", &request),
            ("sequence", &(turn * 2)),
            ("time", &time),
        ];
        messages.push(TEMPLATES.question.text(values));
        time += 2_000 + random.below(20_000) as i64;
        let length = 200 + random.below(1_200) as usize;
        let values: TemplateValues<'_> = &[
            ("question", &QuotedText(prompt)),
            ("id", &SeededGuid(random.next())),
            ("message", &QuotedText(&DATAVERSE.sentences.passage(random, language, length))),
            ("error", &random.chance(20)),
            ("request", &request),
            ("sequence", &(turn * 2 + 1)),
            ("sources", &sources(random)),
            ("time", &time),
        ];
        messages.push(TEMPLATES.answer.text(values));
        time += 5_000 + random.below(60_000) as i64;
    }
    let values: TemplateValues<'_> = &[
        ("chat", &SeededGuid(mix(facts.session, 9))),
        ("session", &SeededGuid(mix(facts.session, 1))),
        ("subject", &SeededGuid(facts.subject())),
        ("table", &facts.for_table()),
        ("messages", &messages.join(",")),
    ];
    TEMPLATES.transcript.text(values)
}

/// What an answer cites, where it cites anything.
fn sources(random: &mut Random) -> String {
    let count = random.below(4);
    let source = |at| {
        let (article, titles) = (article(random) as i64, &DATAVERSE.articles);
        let values: TemplateValues<'_> = &[
            ("id", &SeededGuid(mix(ARTICLES, article as u64))),
            ("place", if at < 2 { &"internal_kb" } else { &"sharepoint" }),
            ("number", &(20_400 + article)),
            ("title", &titles[article as usize % titles.len()]),
        ];
        TEMPLATES.source.text(values)
    };
    let sources: Vec<_> = (0..count).map(source).collect();
    if sources.is_empty() { String::new() } else { TEMPLATES.sources.text(&[("sources", &sources.join(","))]) }
}

/// What the ids of articles are made from.
const ARTICLES: u64 = 0x6B62;

/// An article: some are cited often, most of them rarely.
fn article(random: &mut Random) -> u64 {
    random.below(500) * (random.next() % 500) / 6_250
}

/// The File of an insight.
pub(crate) fn insights(random: &mut Random) -> String {
    let sentiment = |random: &mut Random| {
        let pulse = random.below(100) as i64;
        TEMPLATES.sentiment.text(&[("pulse", &pulse), ("zone", TEMPLATES.zone.pick(random))])
    };
    let insight = |at: i64, random: &mut Random| {
        let id = SeededGuid(random.next());
        TEMPLATES.insight.text(&[("id", &id), ("participant", &(at % 2)), ("sentiments", &sentiment(random))])
    };
    let insights: Vec<_> = (0..2 + random.below(6) as i64).map(|at| insight(at, random)).collect();
    let mut below = |most| random.below(most) as i64;
    let (duration, monologue, pause, switches) = (60 + below(3_000), below(90_000), below(4_000), below(60));
    let (speed, ratio) = (80 + below(120), format!("{:?}", below(300) as f64 / 100.0));
    let values: TemplateValues<'_> = &[
        ("pause", &pause),
        ("duration", &duration),
        ("monologue", &monologue),
        ("sentiments", &sentiment(random)),
        ("switches", &switches),
        ("ratio", &ratio),
        ("speed", &speed),
        ("messages", &insights.join(",")),
    ];
    TEMPLATES.insights.text(values)
}
