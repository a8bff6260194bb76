//! The `Prefer` header.

/// What the client prefers, from all lines of the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    pub(crate) max_page: Option<usize>,
    /// The names of the annotations to send.
    pub(crate) annotations: Vec<String>,
    pub(crate) track: bool,
    /// A batch goes on behind a request that fails.
    pub(crate) continue_on_error: bool,
}

impl Preferences {
    pub(crate) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut preferences = Self::default();
        for part in lines.flat_map(parts) {
            let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
            match name.trim() {
                "odata.maxpagesize" => preferences.max_page = value.parse().ok().filter(|size| *size > 0),
                "odata.track-changes" => preferences.track = true,
                "odata.continue-on-error" => preferences.continue_on_error = value != "false",
                "odata.include-annotations" => {
                    let names = value.trim_matches('"').split(',').map(|name| name.trim().to_owned());
                    preferences.annotations.extend(names.filter(|name| !name.is_empty()));
                }
                _ => {}
            }
        }
        preferences
    }

    /// The value of `Preference-Applied`.
    pub(crate) fn applied(&self) -> String {
        let mut applied = Vec::new();
        applied.extend(self.max_page.map(|size| format!("odata.maxpagesize={size}")));
        if !self.annotations.is_empty() {
            applied.push(format!("odata.include-annotations=\"{}\"", self.annotations.join(",")));
        }
        if self.track {
            applied.push("odata.track-changes".to_owned());
        }
        if self.continue_on_error {
            applied.push("odata.continue-on-error".to_owned());
        }
        applied.join(",")
    }
}

/// The preferences of a line: split at commas outside quotes.
fn parts(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .collect()
}
