//! `check`: what a run needs, tried with the cheapest calls there are.

use copilot_lake_writer::Lake;

use crate::error::Error;
use crate::finding::Finding;
use crate::run::condition;
use crate::run::services::Services;
use crate::settings::Settings;

/// Tries what a run needs, and reports every finding as soon as it is known.
///
/// # Errors
/// An unusable setting or lake URL, and what keeps the only service from being tried: the sign-in, its address.
pub async fn check(
    settings: Settings,
    read_only: bool,
    report: &mut dyn FnMut(&Finding),
) -> Result<Vec<Finding>, Error> {
    let lake = Lake::open(&settings.lake, settings.lake_options).await?;
    let mut findings = Vec::new();
    let mut found = |finding: Finding| {
        report(&finding);
        findings.push(finding);
    };
    let services = Services::new(settings.jobs)?;
    let checked = services.check(&mut found).await;
    if read_only {
        found(Finding::LakeNotTried);
    } else {
        found(match lake.probe().await {
            Ok(()) => Finding::LakeWritable,
            Err(error) => Finding::LakeNotWritable { reason: error.to_string(), remedy: error.remedy() },
        });
    }
    for error in condition::inspect(&lake).await? {
        if let Some(table) = condition::table_of(&error) {
            found(Finding::TableUnusable { table: table.name, reason: error.to_string(), remedy: error.remedy() });
        }
    }
    checked.map(|()| findings)
}
