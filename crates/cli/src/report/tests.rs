use base64::Engine as _;
use copilot_lake_tables::Instant;
use sha2::{Digest as _, Sha256};

use super::answer::{Answer, Value};
use super::figures::{Figures, MOST_VERBATIMS};
use super::page::page;
use super::parameters::{Period, ReportParameters};
use super::weeks::CalendarDay;

/// A text that would break a page: tags, entities, bidirectional controls, line separators.
const HARMFUL: &str = "</script></title><img src=x onerror=alert(1)> &amp; \u{202e}txt.exe\u{202c} \u{2028}'\"";

const FIRST: i32 = 20_212;

fn words(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn now() -> Instant {
    Instant::from_days(FIRST + 26 * 7)
}

/// Everything at its largest: 26 weeks, more scenarios and apps than have room, and the longest texts.
fn largest() -> Figures {
    let weeks = (0..26).map(|week| Value::Day(CalendarDay(FIRST + 7 * week)));
    let mut measures = Vec::new();
    let mut scenarios = Vec::new();
    let mut apps = Vec::new();
    let mut segments = Vec::new();
    for week in weeks {
        for measure in
            ["active_users", "responses", "net_positive_rate", "rated_responses", "m365_active_users", "m365_prompts"]
        {
            let numbers = [123_456.25, 0.5, -0.25].map(Value::Number);
            measures.push([vec![week.clone(), words(measure)], numbers.into()].concat());
        }
        for scenario in 0..30 {
            let name = words(&format!("{scenario} {}", HARMFUL.repeat(20)));
            let counts = [999_999; 8].map(Value::Count);
            scenarios.push([vec![week.clone(), Value::Count(scenario), name.clone()], counts.into()].concat());
            apps.push(vec![week.clone(), name, Value::Count(123_456), Value::Null]);
        }
        for segment in ["Power User", "Habitual User", "Novice User", "Low User", "Non-user"] {
            segments.push(vec![week.clone(), words(segment), Value::Count(54_321), Value::Number(0.2)]);
        }
    }
    let long = words(&format!("{HARMFUL}{}", "<&\u{1f600}".repeat(4_000)));
    let source = vec![long.clone(), long.clone(), Value::Count(9), Value::Count(9), Value::Count(9)];
    let verbatim = vec![Value::Moment(now()), long.clone(), long.clone(), long.clone(), long.clone(), words("down")];
    let health = vec![words("msdyn_copilotevent"), Value::Null, Value::Number(1e6), Value::Count(i64::MAX), long];
    Figures {
        measures: Answer::made(&["week_start", "measure", "value", "previous", "change"], measures),
        scenarios: Answer::made(
            &[
                "week_start",
                "scenario",
                "scenario_label",
                "available",
                "generated",
                "viewed",
                "used_any",
                "edited",
                "rated",
                "positive",
                "up",
            ],
            scenarios,
        ),
        apps: Answer::made(&["week_start", "app", "prompts", "enabled_users"], apps),
        segments: Answer::made(&["week_start", "segment", "people", "people_share"], segments),
        sources: Answer::made(&["title", "source", "citations", "up", "down"], vec![source; 10]),
        verbatims: Some(Answer::made(
            &["rated_at", "scenario_label", "verbatim", "question", "answer", "final_rating"],
            vec![verbatim; MOST_VERBATIMS],
        )),
        health: Answer::made(
            &["table_name", "done_until", "lag_hours", "rows_received", "last_reason"],
            vec![health; 8],
        ),
        payloads: Answer::default(),
    }
}

fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    page.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[test]
fn the_largest_page_fits_the_budget() {
    let period = Some(Period { from: CalendarDay(FIRST), to: CalendarDay(FIRST + 26 * 7 - 1) });
    let page = page(&largest(), &ReportParameters { period, ..ReportParameters::default() }, now());
    assert!((50_000..300_000).contains(&page.len()), "{} bytes", page.len());
    assert!(include_str!("script.js").len() < 10_000);
}

#[test]
fn harmful_text_stays_text() {
    let page = page(&largest(), &ReportParameters::default(), now());
    for wrong in ["<img", "\u{202e}", "\u{2028}", "&amp;amp;amp;"] {
        assert!(!page.contains(wrong), "{wrong:?}");
    }
    assert!(page.contains("&lt;/script&gt;&lt;/title&gt;&lt;img src=x"));
    // One for the data, one for the program.
    assert_eq!(
        (page.matches("</script>").count(), page.matches("</title>").count()),
        (2, page.matches("<title").count())
    );
    let data: serde_json::Value =
        serde_json::from_str(between(&page, "<script type=\"application/json\" id=\"data\">", "</script>")).unwrap();
    assert_eq!(data["scenarios"]["rows"].as_array().unwrap().len(), 26);
    assert!(
        data["scenario-rates"]["rows"][0][0].as_str().unwrap().contains("</script>"),
        "the JSON has texts as they are"
    );
}

#[test]
fn the_policy_allows_exactly_the_style_and_the_script_of_the_page() {
    let page = page(&Figures::default(), &ReportParameters::default(), now());
    let hash = |text: &str| {
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
        format!("'sha256-{hash}'")
    };
    let (style, script) = (between(&page, "<style>", "</style>"), between(&page, "<script>", "</script>"));
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let sources = format!("style-src {}; script-src {}", hash(style), hash(script));
    assert_eq!(policy, format!("default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"));
    for forbidden in [" style=", " onclick=", "http://", "https://", "<link", "src=\"", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn charts_are_described_and_have_tables() {
    let page = page(&largest(), &ReportParameters::default(), now());
    let images = page.matches("role=\"img\"").count();
    assert_eq!(images, 7);
    assert_eq!(page.matches("<desc id=").count(), images);
    assert_eq!(page.matches("<details>").count(), images + 1, "and the measures week over week");
    assert!(page.contains("net_positive_rate"), "{page}");
    for svg in page.split("<svg viewBox").skip(1).filter(|svg| svg.contains("role=\"img\"")) {
        let id = between(svg, "aria-labelledby=\"", " ");
        assert!(svg.contains(&format!("<title id=\"{id}\">")), "{id}");
    }
}

/// As WCAG 2 defines it, of the colours of the style.
#[test]
fn text_and_shapes_have_enough_contrast() {
    let luminance = |colour: &str| {
        let digits: String =
            if colour.len() == 3 { colour.chars().flat_map(|c| [c, c]).collect() } else { colour.to_owned() };
        let part = |at: usize| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |value: f64| if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
    };
    let themes: Vec<_> =
        include_str!("style.css").split(":root{").skip(1).map(|theme| theme.split('}').next().unwrap()).collect();
    assert_eq!(themes.len(), 3, "light, dark and paper");
    for theme in &themes[..2] {
        let colour = |name: &str| {
            luminance(theme.split(&format!("--{name}:#")).nth(1).unwrap().split([';', '}']).next().unwrap().trim())
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (colour(a), colour(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        for text in ["ink", "dim", "link"] {
            assert!(contrast(text, "card") >= 4.5 && contrast(text, "bg") >= 4.5, "{text} {theme}");
        }
        for series in ["s0", "s1", "s2", "s3", "s4", "s5"] {
            assert!(contrast(series, "card") >= 3.0, "{series} {theme}");
        }
    }
}
