//! Adds the explicit interactions of a scenario: a generated one with values set, or one sent verbatim.

use copilot_lake_tables::Instant;

use crate::data::json_fields::{JsonFields, Overrides};
use crate::data::random::mix;
use crate::error::Error;
use crate::graph::copilot_app::CopilotApp;
use crate::graph::interaction::{ExplicitInteraction, GeneratedInteraction};
use crate::graph::interaction_json::write_generated;
use crate::graph::tenant::Tenant;
use crate::scenario::graph::InteractionSpec;
use crate::scenario::toml_value::json;

/// Adds interactions to a tenant. `time` is used where an interaction sets no time of its own.
pub(crate) fn add_explicit(tenant: &mut Tenant, specs: &[InteractionSpec], time: Instant) -> Result<(), Error> {
    for spec in specs {
        let Some(who) = &spec.user else { continue };
        let user = tenant.who(who)?;
        let explicit = explicit(tenant, spec, user, time)?;
        let all = tenant.explicit.entry(user).or_default();
        let at = all.partition_point(|other| other.created <= explicit.created);
        all.insert(at, explicit);
    }
    Ok(())
}

fn explicit(tenant: &Tenant, spec: &InteractionSpec, user: u32, time: Instant) -> Result<ExplicitInteraction, Error> {
    let wrong = |error: serde_json::Error| Error::scenario(format!("an interaction: {error}"));
    let folder = spec.folder_number()?;
    let time = spec.at.map_or(time, |at| at.0);
    let bytes = match &spec.raw {
        Some(raw) => raw.trim().as_bytes().to_vec(),
        None => changed(tenant, spec, user, time).map_err(wrong)?,
    };
    let fields = JsonFields::read(&bytes).map_err(wrong)?;
    let class = fields.text("appClass").unwrap_or_default().into_owned();
    let created = fields.text("createdDateTime").and_then(|text| Instant::parse(&text)).unwrap_or(time).0;
    Ok(ExplicitInteraction {
        created,
        arrives: spec.arrives.map_or(created, |at| at.0.0),
        folder: folder.unwrap_or_else(|| CopilotApp::by_class(&class).folder()).min(tenant.folders - 1),
        class,
        json: bytes.into(),
    })
}

/// A generated interaction with values set.
fn changed(tenant: &Tenant, spec: &InteractionSpec, user: u32, time: Instant) -> Result<Vec<u8>, serde_json::Error> {
    let mut overrides: Overrides = spec.values.iter().map(|(name, value)| (name.clone(), Some(json(value)))).collect();
    overrides.extend(spec.json.iter().map(|(name, text)| (name.clone(), Some(text.clone()))));
    overrides.extend(spec.omit.iter().map(|name| (name.clone(), None)));
    let given = |name: &str| serde_json::from_str::<String>(overrides.get(name)?.as_deref()?).ok();
    let created = given("createdDateTime").and_then(|text| Instant::parse(&text)).unwrap_or(time);
    let count: usize = tenant.explicit.values().map(Vec::len).sum();
    let seed = mix(tenant.seed, 0x7370_656C + count as u64);
    let made = GeneratedInteraction {
        seed,
        ms: created.0.div_euclid(1_000),
        ticks: (created.0.rem_euclid(1_000) * 10) as u16,
        response: given("interactionType").as_deref() == Some("aiResponse"),
        session: mix(seed, 1) | 1,
        request: mix(seed, 2),
        app: CopilotApp::by_class(&given("appClass").unwrap_or_default()),
        asker: user,
    };
    let mut usual = Vec::new();
    write_generated(&mut usual, tenant, &made);
    Ok(JsonFields::read(&usual)?.with(overrides))
}
