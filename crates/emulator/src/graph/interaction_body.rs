//! Bodies of interactions, and the adaptive cards of some: `templates/body.toml` and `templates/card.json`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::data::random::{Random, mix};
use crate::data::representatives::PEOPLE;
use crate::data::template::{QuotedText, Template, TemplateValues, parse};
use crate::data::texts::{GRAPH, Language};
use crate::graph::copilot_app::ResponseStyle;
use crate::graph::interaction::GeneratedInteraction;

#[derive(Debug, Deserialize)]
struct BodyTemplates {
    theming: Template,
    generated: Template,
    mentioning: Template,
    steps: Template,
    html: Template,
    table: Template,
    row: Template,
    item: Template,
    placeholder: Template,
    escaped_placeholder: Template,
    card: Template,
    linked: Template,
    footnoted: Template,
    meeting_url: Template,
    file_url: Template,
    thread: Template,
}

static TEMPLATES: LazyLock<BodyTemplates> =
    LazyLock::new(|| parse("body.toml", include_str!("../../templates/body.toml")));

/// The service sends a card with its line breaks.
static CARD: LazyLock<Template> =
    LazyLock::new(|| Template::verbatim(&include_str!("../../templates/card.json").trim_end().replace('\n', "\r\n")));

/// The attachment of an interaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Attached {
    #[default]
    Nothing,
    /// A reference to the meeting.
    Meeting,
    /// An adaptive card, by the seed of its id.
    Card(u64),
}

impl Attached {
    /// The id of the attachment.
    pub(crate) fn id(self, made: &GeneratedInteraction) -> String {
        match self {
            Self::Card(seed) => digits(seed, 1),
            Self::Nothing | Self::Meeting => thread(made),
        }
    }
}

/// A body, and what goes with it.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) text: String,
    pub(crate) html: bool,
    pub(crate) attached: Attached,
    /// Whether its text mentions a user.
    pub(crate) mentions: bool,
}

/// A citation.
#[derive(Debug, Clone)]
pub(crate) struct Cite {
    pub(crate) title: &'static str,
    /// A meeting or else a file.
    pub(crate) meeting: bool,
    pub(crate) url: String,
    pub(crate) seed: u64,
}

/// 32 hexadecimal digits that follow from a seed.
pub(crate) fn digits(seed: u64, salt: u64) -> String {
    format!("{:016x}{:016x}", mix(seed, salt), mix(seed, salt + 1))
}

/// The id of the meeting's thread.
pub(crate) fn thread(made: &GeneratedInteraction) -> String {
    TEMPLATES.thread.text(&[("id", &digits(made.session, 1))])
}

/// The body of an interaction.
pub(crate) fn content(made: &GeneratedInteraction) -> Body {
    let random = &mut made.random(1);
    let language = Language::of(made.asker.into());
    if made.response { response_body(made, random, language) } else { prompt_body(made, random, language) }
}

fn prompt_body(made: &GeneratedInteraction, random: &mut Random, language: Language) -> Body {
    let mut body = Body::default();
    let kind = random.below(100);
    if kind == 0 {
        let noise: String = (0..64 + random.below(200)).map(|_| format!("{:016x}", random.next())).collect();
        body.html = true;
        body.text = TEMPLATES.theming.text(&[("noise", &noise)]);
    } else {
        let prompt = GRAPH.prompts.pick(random, language);
        body.mentions = matches!(kind, 2..=4);
        body.html = body.mentions;
        body.text = match kind {
            1 => TEMPLATES.generated.text(&[("prompt", &prompt)]),
            2..=4 => TEMPLATES.mentioning.text(&[("name", &PEOPLE.mentioned), ("prompt", &prompt)]),
            _ => prompt.to_owned(),
        };
    }
    if made.app.style == ResponseStyle::Meeting && random.chance(300) {
        body.attach(Attached::Meeting, made, false);
    }
    body
}

fn response_body(made: &GeneratedInteraction, random: &mut Random, language: Language) -> Body {
    let mut body = Body::default();
    if random.chance(25) {
        return body;
    }
    match made.app.style {
        ResponseStyle::Meeting => {
            let length = 80 + random.below(500) as usize;
            body.text = GRAPH.sentences.passage(random, language, length);
            body.attach(Attached::Meeting, made, random.chance(300));
        }
        ResponseStyle::Card if random.chance(800) => {
            let escaped = random.chance(350);
            body.html = !escaped;
            body.attach(Attached::Card(mix(made.seed, 3)), made, escaped);
        }
        ResponseStyle::Html => {
            body.html = true;
            body.text = html(random, language);
        }
        ResponseStyle::Card | ResponseStyle::Text => {
            let length = 120 + random.below(900) as usize;
            body.text = GRAPH.sentences.passage(random, language, length);
            if random.chance(300) {
                body.text += &TEMPLATES.steps.text(&[("heading", &GRAPH.headings.pick(random, language))]);
            }
        }
    }
    body
}

impl Body {
    /// Attaches something and appends its placeholder; the service escapes some although the type is text.
    fn attach(&mut self, attached: Attached, made: &GeneratedInteraction, escaped: bool) {
        let template = if escaped { &TEMPLATES.escaped_placeholder } else { &TEMPLATES.placeholder };
        self.attached = attached;
        self.text += &template.text(&[("id", &attached.id(made))]);
    }
}

fn html(random: &mut Random, language: Language) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;");
    let heading = escaped(GRAPH.headings.pick(random, language));
    let sentence = escaped(GRAPH.sentences.pick(random, language));
    let mut table = String::new();
    if random.chance(500) {
        let rows = 1..=2 + random.below(3) as i64;
        let row = |row| TEMPLATES.row.text(&[("number", &row), ("amount", &(random.below(90_000) as i64))]);
        let rows: String = rows.map(row).collect();
        table = TEMPLATES.table.text(&[("rows", &rows)]);
    }
    let items = 1 + random.below(4);
    let item = |_| TEMPLATES.item.text(&[("sentence", &escaped(GRAPH.sentences.pick(random, language)))]);
    let items: String = (0..items).map(item).collect();
    TEMPLATES.html.text(&[("heading", &heading), ("sentence", &sentence), ("table", &table), ("items", &items)])
}

/// The citations of a response. Only cards have them.
pub(crate) fn cites(made: &GeneratedInteraction) -> Vec<Cite> {
    let mut random = made.random(2);
    let count = 1 + random.below(3);
    let cite = |_| {
        let (seed, meeting, title) = (random.next(), random.chance(600), random.pick(&GRAPH.titles));
        let url = match meeting {
            true => TEMPLATES.meeting_url.text(&[("event", &digits(seed, 1).to_uppercase())]),
            false => {
                TEMPLATES.file_url.text(&[("user", &i64::from(made.asker)), ("file", &format!("{:08x}", seed as u32))])
            }
        };
        Cite { title, meeting, url, seed }
    };
    (0..count).map(cite).collect()
}

/// An adaptive card: the same text twice, once with links and once with footnotes.
pub(crate) fn card(made: &GeneratedInteraction) -> String {
    let cites = cites(made);
    let (linked, footnoted) =
        (card_text(made, &cites, &TEMPLATES.linked), card_text(made, &cites, &TEMPLATES.footnoted));
    CARD.text(&[("linked", &QuotedText(&linked)), ("footnoted", &QuotedText(&footnoted))])
}

fn card_text(made: &GeneratedInteraction, cites: &[Cite], claim: &Template) -> String {
    let (language, mut random) = (Language::of(made.asker.into()), made.random(4));
    let mut sentence = || GRAPH.sentences.pick(&mut random, language);
    let begin = sentence();
    let claim_of = |(number, cite): (i64, &Cite)| {
        let values: TemplateValues<'_> = &[
            ("title", &cite.title),
            ("url", &cite.url),
            ("claim", &sentence().trim_end_matches('.')),
            ("number", &number),
            ("kind", if cite.meeting { &3_i64 } else { &2_i64 }),
        ];
        claim.text(values)
    };
    let claims: String = (1..).zip(cites).map(claim_of).collect();
    TEMPLATES.card.text(&[("begin", &begin), ("claims", &claims), ("end", &sentence())])
}
