//! Longer texts of rows and Files: chats, insights, summaries.

use serde_json::json;

use crate::data::random::{Random, guid_text, mix};
use crate::data::representatives::Language;
use crate::data::row_facts::RowFacts;
use crate::data::sentences;

/// The opening question of a chat: its title, and the first message of its File.
pub(crate) fn question(facts: &RowFacts, language: Language) -> &'static str {
    sentences::prompt(&mut facts.random(26), language)
}

/// Parameters as a JSON object.
pub(crate) fn parameters(facts: &RowFacts) -> String {
    json!({ "sessionId": guid_text(mix(facts.session, 1)), "locale": "en-US", "source": "workspace" }).to_string()
}

/// A summary as the service has been seen to send it: plain text, Markdown, or a JSON object.
pub(crate) fn summary(facts: &RowFacts, language: Language) -> String {
    let mut random = facts.random(27);
    let sentence = |random: &mut Random| sentences::sentence(random, language);
    let (first, second) = (sentence(&mut random), sentence(&mut random));
    match random.below(10) {
        0..=4 => {
            let summary = format!("Issue: {first}\nTroubleshooting steps: \n- {second}");
            json!({ "status": { "code": 20_000, "message": "Successfully fetched summary from insights" }, "summary": summary })
                .to_string()
        }
        5 => json!({ "status": { "code": 50_000, "message": "The summary could not be made" }, "summary": null })
            .to_string(),
        6 | 7 => format!("**Issue**\n\n{first}\n\n**Steps**\n\n- {second}"),
        _ => format!("{first} {second}"),
    }
}

/// The File of a chat: a question and its answer, sometimes two of each.
pub(crate) fn transcript(facts: &RowFacts) -> String {
    let mut random = facts.random(28);
    let language = random.weighted(&[(Language::English, 6), (Language::German, 3), (Language::French, 1)]);
    let request = guid_text(facts.request);
    let mut messages = Vec::new();
    let mut now = facts.client * 1_000 + random.below(1_000) as i64;
    let turns = 1 + usize::from(random.chance(250));
    for turn in 0..turns {
        let prompt = if turn == 0 { question(facts, language) } else { sentences::prompt(&mut random, language) };
        messages.push(json!({
            "id": guid_text(random.next()), "requestId": request, "message": prompt, "sequence": turn * 2,
            "user": "user", "timestamp": now, "isActivityError": false, "context": {},
        }));
        now += 2_000 + random.below(20_000) as i64;
        let length = 200 + random.below(1_200) as usize;
        let mut answer = json!({
            "id": guid_text(random.next()), "requestId": request,
            "message": sentences::passage(&mut random, language, length), "sequence": turn * 2 + 1,
            "user": "bot", "timestamp": now, "isActivityError": random.chance(20),
            "context": { "customerIntent": prompt },
        });
        let sources: Vec<_> = (0..random.below(4))
            .map(|number| {
                let article = article(&mut random);
                let title = format!("KB-{} {}", 20_400 + article, TITLES[article as usize % TITLES.len()]);
                json!({ "id": guid_text(mix(ARTICLES, article)), "title": title, "source": if number < 2 { "internal_kb" } else { "sharepoint" } })
            })
            .collect();
        if !sources.is_empty() {
            answer["sources"] = sources.into();
        }
        messages.push(answer);
        now += 5_000 + random.below(60_000) as i64;
    }
    let context = json!({
        "chatId": guid_text(mix(facts.session, 9)), "sessionId": guid_text(mix(facts.session, 1)),
        "entityId": guid_text(facts.subject()), "entityName": facts.for_table(),
    });
    json!({ "messages": messages, "context": context }).to_string()
}

/// What the ids of articles are made from.
const ARTICLES: u64 = 0x6B62;

/// Titles of articles, which answers cite.
const TITLES: [&str; 8] = [
    "Returns of opened devices",
    "Descaling the X-200",
    "Error E-41 after brewing",
    "Refunds and how long they take",
    "Spare parts under warranty",
    "Technician visits",
    "Delayed deliveries",
    "Changing an order",
];

/// An article: some are cited often, most of them rarely.
fn article(random: &mut Random) -> u64 {
    random.below(500) * (random.next() % 500) / 6_250
}

/// The File of an insight.
pub(crate) fn insights(random: &mut Random) -> String {
    let sentiment = |random: &mut Random| json!({ "pulse": random.below(100), "zone": random.weighted(&[("Positive", 5), ("Neutral", 4), ("Negative", 2)]) });
    let messages: Vec<_> = (0..2 + random.below(6))
        .map(|at| json!({ "messageId": guid_text(random.next()), "participantId": at % 2, "sentiments": sentiment(random) }))
        .collect();
    let insights = json!({
        "callDuration": 60 + random.below(3_000), "customerLongestMonologueInMs": random.below(90_000),
        "avgPauseBeforeSpeakingInMs": random.below(4_000), "switchCount": random.below(60),
        "talkingSpeedWordsPerMin": 80 + random.below(120), "talkToListenRatio": random.below(300) as f64 / 100.0,
        "sentiments": sentiment(random),
    });
    json!({
        "version": "1.0", "insights": insights,
        "participants": [null, { "Id": 1, "DisplayName": "Customer", "Role": 2 }], "messageInsights": messages,
    })
    .to_string()
}
