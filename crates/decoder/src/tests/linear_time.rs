//! Inputs that nobody writes: eight times the input takes about eight times the work.

use std::time::Duration;

use copilot_lake_tables::{CONVERSATION_INSIGHT, COPILOT_EVENT, Instant, Labels, Table};
use serde_json::json;

use super::interactions::CARD;
use super::transcripts::transcript_of;
use super::{ID, text};
use crate::{DecodedPayloads, Fetched, decode_interactions, decode_page, decode_payloads, decode_users};

/// The processor time that this thread has used, as precise as the kernel's clock ticks.
fn processor_time() -> Duration {
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(used.split(' ').next().unwrap().parse().unwrap())
}

/// The processor time that some work takes, on average over as many repetitions as make it measurable.
fn time(work: &dyn Fn()) -> Duration {
    let begun = processor_time();
    for repetitions in 1.. {
        work();
        let used = processor_time() - begun;
        if used >= Duration::from_millis(60) {
            return used / repetitions;
        }
    }
    unreachable!("it takes some time");
}

/// A kind of input, and so many of its parts that decoding them takes a millisecond or more.
struct Case {
    what: &'static str,
    parts: usize,
    /// Decodes an input of so many parts.
    decode: fn(usize),
}

fn page(table: &'static Table, rows: &str) {
    let decoded = decode_page(table, rows.as_bytes(), Instant(0), &Labels::default()).unwrap();
    assert!(decoded.rows > 0);
}

fn transcript(text: &str) -> DecodedPayloads {
    decode_payloads(&[transcript_of(ID, Fetched::Bytes(text.as_bytes().to_vec(), None))], Instant(0)).unwrap()
}

/// Parts from 0 on, joined by commas.
fn list(parts: usize, part: impl Fn(usize) -> String) -> String {
    (0..parts).map(part).collect::<Vec<_>>().join(",")
}

fn contexts(parts: usize, context: &str) {
    let context = json!(context);
    let row = |n| format!(r#"{{"msdyn_copiloteventid":"{n}","partitionid":"p","msdyn_interactioncontext":{context}}}"#);
    page(&COPILOT_EVENT, &format!("[{}]", list(parts, row)));
}

fn card(blocks: &str) {
    let card = format!(r#"{{"body":[{blocks}]}}"#);
    let attachments = json!([{ "attachmentId": "a", "contentType": CARD, "content": card }]);
    super::interactions::text_of("html", "<attachment id=\"a\"></attachment>", &attachments);
}

fn interaction(row: &str) {
    decode_interactions("u", format!("[{row}]").as_bytes(), Instant(0)).unwrap();
}

const CASES: &[Case] = &[
    Case {
        what: "contexts that are cut off",
        parts: 1_000,
        decode: |n| contexts(n, r#"{"OcSessionId":"s","IsEmbed":true,"ResponseStatusCode":20000,"#),
    },
    Case {
        what: "contexts with a property twice",
        parts: 1_000,
        decode: |n| contexts(n, r#"{"IsEmbed":true,"IsEmbed":true}"#),
    },
    Case {
        what: "one context with a property of the wrong type again and again",
        parts: 2_000,
        decode: |n| contexts(1, &format!("{{{}}}", list(n, |_| r#""IsEmbed":7"#.to_owned()))),
    },
    Case {
        what: "summaries that turn out to be prose",
        parts: 1_000,
        decode: |n| {
            let summary = json!(r#"{"summary":"x","status":{"code":1}} and more"#);
            let row = |n| format!(r#"{{"msdyn_conversationinsightid":"{n}","msdyn_copilotsummary":{summary}}}"#);
            page(&CONVERSATION_INSIGHT, &format!("[{}]", list(n, row)));
        },
    },
    Case {
        what: "attributes of one row",
        parts: 15_000,
        decode: |n| {
            page(&COPILOT_EVENT, &format!("[{}]", super::row(&format!(",{}", list(n, |n| format!(r#""x{n}":1"#))))));
        },
    },
    Case {
        what: "attributes of one row, one of which does not fit",
        parts: 15_000,
        decode: |n| {
            let attributes = list(n, |n| format!(r#""x{n}":1"#));
            page(&COPILOT_EVENT, &format!("[{}]", super::row(&format!(r#","createdon":7,{attributes}"#))));
        },
    },
    Case {
        what: "a property of one row again and again",
        parts: 15_000,
        decode: |n| {
            page(
                &COPILOT_EVENT,
                &format!("[{}]", super::row(&format!(",{}", list(n, |_| r#""createdon":7"#.to_owned())))),
            );
        },
    },
    Case {
        what: "messages that do not fit",
        parts: 1_000,
        decode: |n| {
            let message =
                |n| format!(r#"{{"id":"{n}","message":[1],"sequence":"x","sources":[7,{{"id":[]}}],"new":1e999}}"#);
            transcript(&format!(r#"{{"messages":[{}]}}"#, list(n, message)));
        },
    },
    Case {
        what: "sources of one message, none of which is one",
        parts: 5_000,
        decode: |n| {
            transcript(&format!(r#"{{"messages":[{{"id":"m","sources":[{}]}}]}}"#, list(n, |_| "7".to_owned())));
        },
    },
    Case {
        what: "attributes of a message and of its context",
        parts: 10_000,
        decode: |n| {
            let attributes = list(n, |n| format!(r#""x{n}":1"#));
            transcript(&format!(r#"{{"messages":[{{"id":"m",{attributes},"context":{{{attributes}}}}}]}}"#));
        },
    },
    Case {
        what: "blocks of a card",
        parts: 1_000,
        decode: |n| {
            let block = |n| {
                let id = if n % 2 == 0 { r#""id":"MessageTextField","# } else { "" };
                format!(r#"{{"type":"TextBlock",{id}"text":"word{n}"}}"#)
            };
            card(&list(n, block));
        },
    },
    Case {
        what: "blocks of a card that is cut off",
        parts: 1_000,
        decode: |n| {
            card(&format!(r#"{},"\ud83d"#, list(n, |n| format!(r#"{{"type":"TextBlock","text":"word{n} \ud83d"}}"#))));
        },
    },
    Case {
        what: "attributes of an interaction and of its parts",
        parts: 5_000,
        decode: |n| {
            let attributes = list(n, |n| format!(r#""x{n}":1"#));
            interaction(&format!(
                r#"{{"id":"1",{attributes},"body":{{{attributes}}},"from":{{"user":{{{attributes}}}}},"links":[{{{attributes}}}]}}"#
            ));
        },
    },
    Case {
        what: "a mention of somebody again and again",
        parts: 5_000,
        decode: |n| {
            interaction(&format!(
                r#"{{"id":"1","mentions":[{{{}}}]}}"#,
                list(n, |_| r#""mentioned":{"user":7}"#.to_owned())
            ));
        },
    },
    Case {
        what: "children that are none",
        parts: 2_000,
        decode: |n| interaction(&format!(r#"{{"id":"1","links":[{}]}}"#, list(n, |_| "7".to_owned()))),
    },
    Case {
        what: "plans that are none",
        parts: 5_000,
        decode: |n| {
            let rows = format!(r#"[{{"id":"u","assignedPlans":[{}]}}]"#, list(n, |_| "7".to_owned()));
            decode_users(rows.as_bytes(), Instant(0), |_| Instant(0)).unwrap();
        },
    },
];

#[cfg(target_os = "linux")]
#[test]
fn time_grows_with_the_input_and_not_with_its_square() {
    // One thread, whose time is measured, does all of the work.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for Case { what, parts, decode } in CASES {
            let (some, more) = (time(&|| decode(*parts)), time(&|| decode(8 * parts)));
            // By the square it would be 64 times as much.
            assert!(
                more < some * 24 + Duration::from_millis(10),
                "{what}: {some:?} for {parts}, {more:?} for 8 times as many"
            );
        }
    });
}

#[test]
fn a_value_that_does_not_fit_is_kept_once() {
    let context = format!("{{{}}}", list(50_000, |_| r#""IsEmbed":7,"ResponseStatusCode":"x""#.to_owned()));
    let rows = json!([{ "msdyn_copiloteventid": ID, "partitionid": "p", "msdyn_interactioncontext": context }]);
    let decoded = super::decode(&rows.to_string());
    let columns: Vec<_> = decoded.rejects.iter().map(|reject| reject.column_name).collect();
    assert_eq!(columns, ["context_is_embed", "context_response_status_code"]);
    assert_eq!(text(&decoded.batches[0].1, "msdyn_interactioncontext", 0), Some(&*context));
}

#[test]
fn a_long_id_is_not_repeated_for_every_source() {
    let of = |id: usize, sources: usize, source: &str| {
        let sources = list(sources, |_| source.to_owned());
        transcript(&format!(r#"{{"messages":[{{"id":"{}","sources":[{sources}]}}]}}"#, "x".repeat(id)))
    };
    let rows = |decoded: &DecodedPayloads| decoded.sources.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
    for source in ["{}", "7"] {
        let long = of(1 << 20, 100_000, source);
        assert_eq!((rows(&long), long.rejects.len()), (0, 0), "100 GiB of ids");
        let reason = text(&long.payloads[0].1, "reason", 0).unwrap();
        assert_eq!(reason, "not a transcript: the ids of its messages are too long to be repeated");
        assert!(text(&long.payloads[0].1, "text", 0).is_some(), "its text stays");
    }
    // Ids of a usual length may have any number, and long ones a few.
    assert_eq!(rows(&of(36, 100_000, "{}")), 100_000);
    assert_eq!(rows(&of(1 << 20, 15, "{}")), 15);
}

#[test]
fn a_long_key_is_not_repeated_for_every_child() {
    let of = |session: usize, links: usize| {
        let links = list(links, |_| "{}".to_owned());
        let row = format!(r#"[{{"id":"1","sessionId":"{}","links":[{links}],"mentions":[]}}]"#, "x".repeat(session));
        decode_interactions("u", row.as_bytes(), Instant(0)).unwrap()
    };
    let long = of(1 << 20, 100_000);
    assert_eq!(long.batches.len(), 1, "the row stays, without links");
    let rejects: Vec<_> = long.rejects.iter().map(|(table, reject)| (table.name, reject.column_name)).collect();
    assert_eq!(rejects, [("ai_interaction", "link_count")]);
    assert_eq!(long.rejects[0].1.reason, "the key of its row is too long to be repeated");
    assert_eq!(long.rejects[0].1.raw_json.len(), 300_001);
    for (session, links) in [(36, 100_000), (1 << 20, 15)] {
        let usual = of(session, links);
        assert_eq!((usual.rejects.len(), usual.batches[0].2.num_rows()), (0, links));
    }
}
