//! Python's codecs as an oracle: the same text, or both refuse.
#![expect(clippy::print_stderr, reason = "a test says when there is nobody to ask")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{base64, utf16};
use crate::{Charset, TextDecoder, TextStatus};

/// Answers each line, bytes in hexadecimal, with the text inside up to two layers of base64 in each charset.
const PYTHON: &str = r#"
import base64, json, sys
def text(data, charset):
    try:
        return data.decode(charset).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
for line in sys.stdin:
    data, prefix, answer = bytes.fromhex(json.loads(line)), "", {}
    for _ in range(3):
        for charset in ("utf-8", "utf-16-le", "utf-16-be"):
            answer[prefix + charset.replace("-le", "le").replace("-be", "be")] = text(data, charset)
        try:
            data = base64.b64decode(data, validate=True)
        except ValueError:
            break
        prefix += "base64+"
    print(json.dumps(answer))
"#;

/// Python's answers, one per case; `None` without Python.
fn ask(cases: &[Case]) -> Option<Vec<Value>> {
    let python = Command::new("python3")
        .args(["-I", "-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let Ok(mut python) = python else {
        eprintln!("skipped: no python3");
        return None;
    };
    let mut stdin = python.stdin.take().unwrap();
    let lines: String = cases
        .iter()
        .map(|case| {
            let hex: String = case.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(hex).to_string() + "\n"
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Some(answers.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

struct Case {
    bytes: Vec<u8>,
    documented: Charset,
    /// What was encoded; none for random bytes.
    text: Option<String>,
}

/// SplitMix64: the same cases in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(200);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Words in several scripts, as people write them.
    pub(super) fn text(&mut self) -> String {
        let scripts: [&[char]; 6] = [
            &['a', 'e', 'i', 'n', 'r', 's', 't', 'Q', '7'],
            &['ä', 'ß', 'é', 'ø', 'u', 'm'],
            &['ж', 'и', 'к', 'о', 'т'],
            &['客', '户', '订', '单', '没', '有', '到', '。'],
            &['\u{1f642}', '\u{1f44d}', '—', '„', '“'],
            &['{', '}', '"', ':', '\n', '\t', '0', '\u{e000}'],
        ];
        let words = 4 + self.below(20);
        let mut text = String::new();
        for _ in 0..words {
            let script = scripts[self.below(scripts.len())];
            for _ in 0..=self.below(8) {
                text.push(script[self.below(script.len())]);
            }
            text.push(' ');
        }
        text
    }
}

fn cases() -> Vec<Case> {
    let mut random = Random(3);
    let mut cases = Vec::new();
    for n in 0..2_000 {
        let documented = [Charset::Utf16Le, Charset::Utf8, Charset::Unknown][n % 3];
        let bytes = random.bytes();
        cases.push(Case { bytes: base64(&bytes).into_bytes(), documented, text: None });
        cases.push(Case { bytes, documented, text: None });
        let text = random.text();
        let (utf8, utf16) = (text.as_bytes().to_vec(), utf16(&text));
        for (encoded, charset) in [(utf8, Charset::Utf8), (utf16, Charset::Utf16Le)] {
            let documented = if n % 5 == 0 { Charset::Unknown } else { charset };
            let once = base64(&encoded).into_bytes();
            let twice = base64(&once).into_bytes();
            // Damaged: a bit of the encoded text, so that it may be text still.
            let mut damaged = encoded.clone();
            let at = random.below(damaged.len());
            damaged[at] ^= 1 << random.below(8);
            cases.push(Case { bytes: base64(&damaged).into_bytes(), documented, text: None });
            cases.push(Case { bytes: damaged, documented, text: None });
            let mut cut = once.clone();
            cut.truncate(random.below(once.len()).max(16));
            cases.push(Case { bytes: cut, documented, text: None });
            cases.extend([encoded, once, twice].map(|bytes| Case { bytes, documented, text: Some(text.clone()) }));
        }
    }
    cases
}

#[test]
fn python_reads_the_same_or_refuses_too() {
    let cases = cases();
    let Some(answers) = ask(&cases) else { return };
    assert_eq!(answers.len(), cases.len());
    let mut decoder = TextDecoder::default();
    let mut refused = 0;
    for (case, answer) in cases.iter().zip(&answers) {
        let Case { bytes, documented, text } = case;
        let outcome = decoder.decode(bytes, *documented);
        let shown = || format!("{documented:?} {bytes:02x?}\n{outcome:?}\n{answer}");
        if let Some(text) = text {
            assert_eq!(outcome.text, Some(text.as_str()), "{}", shown());
        }
        match outcome.status {
            // Python's base64 wants padding; without it there is nobody to ask about the layer.
            TextStatus::Decoded if answer.get(outcome.encoding).is_none() => {
                assert!(!bytes.len().is_multiple_of(4), "{}", shown());
            }
            TextStatus::Decoded => assert_eq!(answer[outcome.encoding].as_str(), outcome.text, "{}", shown()),
            TextStatus::Empty => assert!(answer.as_object().unwrap().values().any(|text| text == ""), "{}", shown()),
            TextStatus::Undecodable => {
                refused += 1;
                if outcome.reason.is_some_and(|reason| reason.starts_with("bad base64")) {
                    assert!(answer.get("base64+utf-8").is_none(), "{}", shown());
                    continue;
                }
                // Neither the charset that was recognised nor the one that is documented reads it.
                let charset = outcome.encoding.rsplit('+').next().filter(|charset| charset.starts_with("utf"));
                let layers = "base64+".repeat(outcome.encoding.matches("base64").count());
                let documented = match documented {
                    Charset::Utf16Le => "utf-16le",
                    Charset::Utf8 => "utf-8",
                    Charset::Unknown => charset.unwrap_or("utf-8"),
                };
                for charset in [charset.unwrap_or("utf-8"), documented] {
                    assert!(answer[format!("{layers}{charset}")].is_null(), "{charset} {}", shown());
                }
            }
        }
    }
    assert!(refused > 500, "only {refused} were refused");
}
