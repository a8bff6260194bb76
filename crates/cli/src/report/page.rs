//! The whole page: head, cards, charts, tables, data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use copilot_lake_tables::{AI_INTERACTION, COPILOT_EVENT, Instant};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::chart::sparkline;
use super::data::data;
use super::figures::Figures;
use super::measures::{Measures, ServiceChanges, table};
use super::parameters::ReportParameters;
use super::sections::{Section, complete_until, details, overview};
use super::table::text;
use super::weeks::minute;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of these figures, written at this time.
pub(crate) fn page(figures: &Figures, parameters: &ReportParameters, now: Instant) -> String {
    let (overview, details) = (overview(figures, parameters, now), details(figures));
    let tables = overview.iter().chain(&details).map(|section| (section.id, &section.table));
    let json = data(tables);
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("copilot-lake ", env!("CARGO_PKG_VERSION")));
                title { "Copilot report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                // What unfinished weeks are hatched with.
                svg.defs width="0" height="0" aria-hidden="true" { defs {
                    pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect.hatch width="2" height="4" {}
                    }
                } }
                header {
                    h1 { "Copilot report" }
                    p { (parameters.heading()) " Written " (minute(now)) "." }
                }
                main {
                    (week_over_week(figures, parameters, now))
                    div.grid { @for section in &overview { (draw(section, parameters)) } }
                    div.grid.wide {
                        @for section in &details[..2] { (draw(section, parameters)) }
                    }
                    (verbatims(figures.verbatims.as_ref(), parameters))
                    @for section in &details[2..] { (draw(section, parameters)) }
                }
                footer {
                    p {
                        "Written by copilot-lake from the lake's own rows. Where the newest week is not over, or was not read to "
                        "its end, it is hatched or drawn hollow, and changes are those of the week before. Satisfaction with "
                        "Microsoft 365 Copilot is not in its data: no figure here stands for it."
                    }
                }
                div.tip role="status" aria-live="polite" hidden {}
                script type="application/json" id="data" { (PreEscaped(json)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// A hash for a content security policy: of the bytes between the tags.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn week_over_week(figures: &Figures, parameters: &ReportParameters, now: Instant) -> Markup {
    let until = |table| complete_until(figures, table, parameters, now);
    let dynamics = Measures::dynamics(&figures.measures, until(&COPILOT_EVENT));
    let m365 = Measures::m365(&figures.measures, until(&AI_INTERACTION));
    let table = table(&[&dynamics, &m365]);
    html! {
        section.changes aria-labelledby="changes" {
            h2 #changes { "Week over week" }
            div.services {
                @for (name, changes) in [("Dynamics 365", dynamics.changes()), ("Microsoft 365", m365.changes())] {
                    @match changes {
                        Some(changes) => { (cards(&changes)) }
                        None => { div.service { h3 { (name) } p.none { "no rows" } } }
                    }
                }
            }
            @if !table.rows.is_empty() {
                details { summary { "Every measure as a table" } (table.draw()) }
            }
        }
    }
}

fn cards(changes: &ServiceChanges) -> Markup {
    html! {
        div.service {
            h3 {
                (changes.service) ", week of " (changes.week.long())
                @if !changes.is_complete { " (not over)" }
            }
            div.cards {
                @for card in &changes.cards {
                    div.card {
                        p.label { (card.label) }
                        p.value { (card.value) @if let Some(counts) = &card.counts { " " small { (counts) } } }
                        p.change { (card.change) }
                        (sparkline(&card.history))
                    }
                }
            }
        }
    }
}

fn draw(section: &Section, parameters: &ReportParameters) -> Markup {
    let is_chart = section.drawing.is_some();
    let rows = section.table.rows.len();
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            p.note { (section.note) }
            @if let Some(drawing) = &section.drawing {
                figure tabindex=[drawing.0.contains("data-place").then_some("0")] { (drawing) }
            }
            @if rows == 0 {
                p.none { "no rows" }
            } @else if is_chart {
                details { summary { "Numbers as a table" } (section.table.draw()) (source(section.query, parameters)) }
            } @else {
                (section.table.draw())
                (source(section.query, parameters))
            }
        }
    }
}

/// How to get the numbers, and more of them.
fn source(query: &str, parameters: &ReportParameters) -> Markup {
    let parameters = parameters.taken_by(query);
    let parameters: String = parameters.iter().map(|(name, value)| format!(" --param {name}={value}")).collect();
    html! { p.source { "From " code { "copilot-lake query " (query) (parameters) } } }
}

fn verbatims(answer: Option<&Answer>, parameters: &ReportParameters) -> Markup {
    html! {
        section #verbatims {
            h2 { "Latest thumbs-down" }
            @match answer {
                None => {
                    p.none { "What people wrote is left out; " code { "copilot-lake report --with-text" } " quotes it." }
                }
                Some(answer) if answer.is_empty() => { p.none { "no rows" } }
                Some(answer) => {
                    div.quotes {
                        @for row in answer.rows() {
                            article {
                                blockquote dir="auto" { (text(row.text("verbatim").unwrap_or_default())) }
                                p.note {
                                    (row.text("scenario_label").map_or_else(|| "unknown scenario".to_owned(), text))
                                    @if let Some(rated_at) = row.moment("rated_at") { ", " (minute(rated_at)) }
                                    @match row.text("final_rating") {
                                        Some("up") => { ", later rated up" }
                                        Some("cleared") => { ", taken back later" }
                                        _ => {}
                                    }
                                }
                                @for (name, heading) in [("question", "Question"), ("answer", "Answer")] {
                                    @if let Some(words) = row.text(name) {
                                        p.said { b { (heading) ": " } bdi { (text(words)) } }
                                    }
                                }
                            }
                        }
                    }
                    (source("verbatim_feedback", parameters))
                }
            }
        }
    }
}
