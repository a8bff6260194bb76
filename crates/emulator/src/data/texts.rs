//! What made-up people and Copilot write, by language: `templates/dataverse_texts.toml` and
//! `templates/graph_texts.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::data::random::Random;
use crate::data::template::parse;

/// The language of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
    French,
}

/// Texts of one kind.
#[derive(Debug, Deserialize)]
pub(crate) struct Phrases {
    english: Vec<String>,
    german: Vec<String>,
    french: Vec<String>,
}

/// What representatives of Dynamics 365 and Copilot write.
#[derive(Debug, Deserialize)]
pub(crate) struct DataverseTexts {
    /// Titles of knowledge articles.
    pub(crate) articles: Vec<String>,
    pub(crate) prompts: Phrases,
    /// Of answers, summaries and mails.
    pub(crate) sentences: Phrases,
    /// Come with a rating.
    pub(crate) comments: Phrases,
}

/// What users of Microsoft 365 and Copilot write.
#[derive(Debug, Deserialize)]
pub(crate) struct GraphTexts {
    /// Of meetings and files.
    pub(crate) titles: Vec<String>,
    pub(crate) prompts: Phrases,
    /// Of answers.
    pub(crate) sentences: Phrases,
    pub(crate) headings: Phrases,
}

pub(crate) static DATAVERSE: LazyLock<DataverseTexts> =
    LazyLock::new(|| parse("dataverse_texts.toml", include_str!("../../templates/dataverse_texts.toml")));
pub(crate) static GRAPH: LazyLock<GraphTexts> =
    LazyLock::new(|| parse("graph_texts.toml", include_str!("../../templates/graph_texts.toml")));

impl Language {
    /// The language of a person, by number.
    pub(crate) const fn of(person: u64) -> Self {
        match person % 10 {
            0..=5 => Self::English,
            6..=8 => Self::German,
            _ => Self::French,
        }
    }

    /// The language of a text that nobody in particular wrote.
    pub(crate) fn any(random: &mut Random) -> Self {
        random.weighted(&[(Self::English, 6), (Self::German, 3), (Self::French, 1)])
    }

    pub(crate) const fn locale(self) -> &'static str {
        match self {
            Self::English => "en-us",
            Self::German => "de-de",
            Self::French => "fr-fr",
        }
    }
}

impl Phrases {
    pub(crate) fn pick(&self, random: &mut Random, language: Language) -> &str {
        let texts = match language {
            Language::English => &self.english,
            Language::German => &self.german,
            Language::French => &self.french,
        };
        random.pick(texts).as_str()
    }

    /// A text of about `bytes` bytes: whole sentences, in paragraphs.
    pub(crate) fn passage(&self, random: &mut Random, language: Language, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 160);
        while text.len() < bytes {
            if !text.is_empty() {
                text.push_str(if random.chance(200) { "\n\n" } else { " " });
            }
            text.push_str(self.pick(random, language));
        }
        text
    }
}
