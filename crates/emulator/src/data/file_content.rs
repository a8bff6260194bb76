//! The bytes of Files: generated from the File's id on request, or explicit in a scenario.

use base64_simd::STANDARD;
use bytes::Bytes;
use copilot_lake_tables::Instant;

use crate::data::prose;
use crate::data::random::{Random, hash};
use crate::data::row_facts::RowFacts;
use crate::data::texts::{DATAVERSE, Language};

/// The content of a File.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload {
    /// `None`: the row names a File that does not exist.
    pub(crate) bytes: Option<Bytes>,
    /// Until this time it does not exist.
    pub(crate) from: Option<Instant>,
    /// The size to declare instead of the real one.
    pub(crate) size: Option<u64>,
}

/// A charset and its wrappings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Encoding {
    pub(crate) json: bool,
    pub(crate) base64: u8,
    pub(crate) utf16: bool,
    pub(crate) bom: bool,
}

impl Encoding {
    /// Reads a name such as `utf-8`, `base64+utf-16le` or `json+base64+utf-8`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut encoding = Self::default();
        let (wrapped, charset) = name.rsplit_once('+').map_or(("", name), |(wrapped, charset)| (wrapped, charset));
        encoding.utf16 = match charset {
            "utf-8" => false,
            "utf-16le" => true,
            _ => return None,
        };
        for (number, wrapper) in wrapped.split('+').filter(|wrapper| !wrapper.is_empty()).enumerate() {
            match wrapper {
                "json" if number == 0 => encoding.json = true,
                "base64" => encoding.base64 += 1,
                _ => return None,
            }
        }
        Some(encoding)
    }

    pub(crate) fn encode(self, text: &str) -> Bytes {
        let mut bytes = match (self.utf16, self.bom) {
            (true, bom) => {
                let mark = bom.then_some(0xFEFF);
                let mut bytes = Vec::with_capacity(text.len() * 2 + 2);
                for unit in mark.into_iter().chain(text.encode_utf16()) {
                    bytes.extend_from_slice(&unit.to_le_bytes());
                }
                bytes
            }
            (false, true) => [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            (false, false) => text.as_bytes().to_vec(),
        };
        for _ in 0..self.base64 {
            bytes = STANDARD.encode_type(bytes);
        }
        if self.json {
            let value = String::from_utf8_lossy(&bytes).into_owned();
            let object = serde_json::json!({ "@odata.context": "$metadata#Edm.String", "value": value });
            bytes = object.to_string().into_bytes();
        }
        Bytes::from(bytes)
    }
}

/// Scenarios whose text the vendor documents as UTF-16LE: ask a question, suggested responses, mails.
const UTF16: &[i64] = &[100_230_201, 100_230_202, 100_230_203, 100_230_211, 100_230_216];

/// The bytes of a generated File, mostly encoded as documented. `chat` holds the facts behind a chat's File.
pub(crate) fn generated(column: &str, file_id: &str, scenario: Option<i64>, chat: Option<&RowFacts>) -> Bytes {
    let number = hash(file_id.as_bytes());
    let mut random = Random::new(number);
    match column {
        "msdyn_transcriptdata" => {
            // A chat that has no row was at some time in 2025.
            let unknown = || prose::transcript(&RowFacts::answer(number, 1_760_000_000 + (number % 1_000_000) as i64));
            let text = chat.map_or_else(unknown, prose::transcript);
            let bom = random.chance(80);
            Encoding { json: false, base64: u8::from(!random.chance(60)), utf16: true, bom }.encode(&text)
        }
        "msdyn_insights" | "msdyn_transcriptwithinsights" => {
            let text = prose::insights(&mut random);
            Encoding { json: false, base64: u8::from(random.chance(400)), utf16: false, bom: false }.encode(&text)
        }
        _ => content(&mut random, scenario),
    }
}

/// Half a kilobyte to six of text.
fn content(random: &mut Random, scenario: Option<i64>) -> Bytes {
    let language = Language::any(random);
    // Most texts are short.
    let most = random.weighted(&[(1_000, 5), (2_500, 3), (6_000, 2)]);
    let length = 500 + random.below(most - 500) as usize;
    let response = DATAVERSE.sentences.passage(random, language, length);
    let text = if random.chance(600) {
        serde_json::json!({ "prompt": DATAVERSE.prompts.pick(random, language), "response": response }).to_string()
    } else {
        response
    };
    let (base64, bom) = random.weighted(&[((1, false), 85), ((1, true), 5), ((0, false), 7), ((0, true), 3)]);
    // Rows of the older table do not name their scenario.
    let utf16 = scenario.map_or_else(|| random.chance(500), |scenario| UTF16.contains(&scenario));
    Encoding { json: false, base64, utf16, bom }.encode(&text)
}
