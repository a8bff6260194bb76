//! Explicit rows of a scenario: a generated row with values set, a row sent verbatim, or a changed existing row.

use std::path::Path;

use bytes::Bytes;
use copilot_lake_tables::{Column, Instant, Source};

use crate::data::file_content::{Encoding, Payload};
use crate::data::json_fields::{JsonFields, Overrides};
use crate::data::random::{Random, guid_text, hash, mix};
use crate::data::row_facts::{GENERATED, RowFacts};
use crate::data::row_renderer::RowRenderer;
use crate::data::row_snapshot::StoredRow;
use crate::data::row_versions::{Versions, version};
use crate::error::Error;
use crate::scenario::specs::RowSpec;
use crate::scenario::toml_value::json;

/// A row, and the id and content of its File.
pub(crate) type Written = (StoredRow, Option<(String, Payload)>);

/// Writes the explicit rows of a table.
pub(crate) struct ExplicitRowWriter<'a> {
    pub(crate) renderer: &'a RowRenderer,
    /// The version counter of the database; elastic tables have none.
    pub(crate) versions: Option<&'a Versions>,
    /// The directory of the files that rows name.
    pub(crate) base: &'a Path,
    pub(crate) seed: u64,
}

impl ExplicitRowWriter<'_> {
    /// A new row. `time` is used where the row sets no time of its own.
    pub(crate) fn row(&self, spec: &RowSpec, ordinal: u64, time: Instant) -> Result<Written, Error> {
        let table = self.renderer.table;
        let time = spec.at.map_or(time, |at| at.0);
        let wrong = |error: serde_json::Error| Error::scenario(format!("a row of `{}`: {error}", table.name));
        if let Some(raw) = &spec.raw {
            return Ok((StoredRow::read(table, raw.trim().as_bytes().to_vec(), time).map_err(wrong)?, None));
        }
        let mut overrides = self.overrides(spec)?;
        let mut random = Random::new(mix(mix(self.seed, 0x726F_7773), ordinal));
        let seed = random.next();
        let payload = self.payload(spec, seed, &mut overrides)?;
        let own_time = |name: &str| {
            let json = overrides.get(name)?.as_deref()?;
            Instant::parse(json.trim_matches('"'))
        };
        let number = |name: &str| overrides.get(name)?.as_deref()?.parse::<i64>().ok();
        let seconds = |at: Instant| at.0.div_euclid(1_000_000);
        let created = seconds(own_time("createdon").unwrap_or(time));
        let modified = own_time("modifiedon").map_or(created, seconds);
        let facts = RowFacts {
            seed,
            created,
            client: own_time("msdyn_clienttimestamp").map_or(created, seconds),
            modified,
            version: number("versionnumber").unwrap_or_else(|| self.version(modified, ordinal)),
            scenario: number("msdyn_scenariotype").and_then(|code| i32::try_from(code).ok()).unwrap_or(100_230_201),
            kind: number("msdyn_interactiontype").and_then(|code| i32::try_from(code).ok()).unwrap_or(GENERATED),
            request: random.next() | 1,
            session: random.next(),
            person: match table.source {
                // A new person is not one of the existing ones.
                Source::Dimension { .. } => u16::MAX,
                _ => random.below(1 << 16) as u16,
            },
        };
        let mut usual = Vec::new();
        self.renderer.render(&mut usual, &facts);
        let bytes = JsonFields::read(&usual).map_err(wrong)?.with(overrides);
        Ok((StoredRow::read(table, bytes, time).map_err(wrong)?, payload))
    }

    fn version(&self, modified: i64, ordinal: u64) -> i64 {
        self.versions.map_or_else(|| version(modified, (ordinal % 1_000) as i64), Versions::next)
    }

    /// An existing row with values set, modified at `time` and with a new version unless the scenario sets them.
    pub(crate) fn change(&self, old: &StoredRow, spec: &RowSpec, time: Instant) -> Result<Written, Error> {
        let table = self.renderer.table;
        let wrong = |error: serde_json::Error| Error::scenario(format!("a row of `{}`: {error}", table.name));
        let mut overrides = self.overrides(spec)?;
        let seed = mix(old.index.key, time.0 as u64);
        let has_payload = spec.has_payload();
        let payload = if has_payload { self.payload(spec, seed, &mut overrides)? } else { None };
        let modified = time.0.div_euclid(1_000_000);
        let version = self.version(modified, seed);
        let mut default = |name: &str, json: String| {
            overrides.entry(name.to_owned()).or_insert(Some(json));
        };
        default("modifiedon", format!("\"{}\"", Instant::from_seconds(modified)));
        default("versionnumber", version.to_string());
        default("@odata.etag", format!("\"W/\\\"{version}\\\"\""));
        let fields = JsonFields::read(&old.bytes).map_err(wrong)?;
        // A column that the environment lacks is not sent.
        let is_column = |name: &str| table.columns.iter().any(|column| column.wire == name);
        overrides.retain(|name, _| fields.raw(name).is_some() || !is_column(name) || spec.names(name));
        let bytes = fields.with(overrides);
        Ok((StoredRow::read(table, bytes, Instant(old.index.created)).map_err(wrong)?, payload))
    }

    /// The values that a scenario sets, by wire name.
    fn overrides(&self, spec: &RowSpec) -> Result<Overrides, Error> {
        let table = self.renderer.table;
        let wire = |name: &str| {
            if name == "@odata.etag" {
                return Ok(name.to_owned());
            }
            let column = table.columns.iter().find(|column| column.name == name || column.wire == name);
            column.map(|column| column.wire.to_owned()).ok_or_else(|| {
                Error::scenario(format!(
                    "table `{}` has no column `{name}`; `extra` sets what it does not know",
                    table.name
                ))
            })
        };
        let mut overrides = Overrides::new();
        let values = spec.values.iter().map(|(name, value)| (name, Some(json(value))));
        let texts = spec.json.iter().map(|(name, text)| (name, Some(text.clone())));
        let nulls = spec.nulls.iter().map(|name| (name, Some("null".to_owned())));
        for (name, value) in values.chain(texts).chain(nulls).chain(spec.omit.iter().map(|name| (name, None))) {
            overrides.insert(wire(name)?, value);
        }
        for (name, value) in &spec.extra {
            if wire(name).is_ok() {
                return Err(Error::scenario(format!("`{name}` is a column: set it under `values`")));
            }
            overrides.insert(name.clone(), Some(json(value)));
        }
        Ok(overrides)
    }

    /// The content of the row's File. File columns are null unless the scenario says otherwise.
    fn payload(
        &self,
        spec: &RowSpec,
        seed: u64,
        overrides: &mut Overrides,
    ) -> Result<Option<(String, Payload)>, Error> {
        let table = self.renderer.table;
        let mut default = |column: &Column, json: &str| {
            overrides.entry(column.wire.to_owned()).or_insert_with(|| Some(json.to_owned()));
        };
        let name_column = |file: &Column| table.column(&format!("{}_name", file.name));
        let file = table.files().next();
        if let Some(file) = file.filter(|_| spec.has_payload()) {
            let id = guid_text(mix(seed, hash(file.name.as_bytes())));
            default(file, &format!("\"{id}\""));
            if let Some(column) = name_column(file) {
                let name = spec.payload_name.as_deref().unwrap_or("interactiondata.txt");
                default(column, &serde_json::Value::from(name).to_string());
            }
        } else if spec.has_payload() {
            return Err(Error::scenario(format!("table `{}` has no File column", table.name)));
        }
        for other in table.files() {
            default(other, "null");
            if let Some(column) = name_column(other) {
                default(column, "null");
            }
        }
        // The scenario may have set the id itself.
        let id = file
            .and_then(|file| overrides.get(file.wire)?.as_deref().map(|json| json.trim_matches('"').to_lowercase()));
        match (id, spec.has_payload()) {
            (Some(id), true) => {
                let bytes = if spec.payload_missing { None } else { Some(self.bytes(spec)?) };
                Ok(Some((id, Payload { bytes, from: spec.payload_from.map(|from| from.0), size: spec.payload_size })))
            }
            _ => Ok(None),
        }
    }

    fn bytes(&self, spec: &RowSpec) -> Result<Bytes, Error> {
        let encoding = match &spec.encoding {
            None => None,
            Some(name) => Some(
                Encoding::parse(name)
                    .ok_or_else(|| Error::scenario(format!("no encoding `{name}` such as `base64+utf-16le`")))?,
            ),
        };
        let encode = |text: &str| Encoding { bom: spec.bom, ..encoding.unwrap_or_default() }.encode(text);
        if let Some(text) = &spec.payload_text {
            return Ok(encode(&text.repeat(spec.payload_repeat.unwrap_or(1))));
        }
        if let Some(base64) = &spec.payload_base64 {
            let bytes = base64_simd::STANDARD.decode_to_vec(base64);
            return Ok(bytes.map_err(|_| Error::scenario("payload_base64 is not base64"))?.into());
        }
        let path = self.base.join(spec.payload_file.as_deref().unwrap_or(Path::new("")));
        let bytes = std::fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        match (&encoding, String::from_utf8(bytes)) {
            (Some(_), Ok(text)) => Ok(encode(&text)),
            (Some(_), Err(_)) => Err(Error::scenario(format!("{} is no text to encode", path.display()))),
            (None, Ok(text)) => Ok(Bytes::from(text)),
            (None, Err(error)) => Ok(Bytes::from(error.into_bytes())),
        }
    }
}
