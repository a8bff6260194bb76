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
/// Only those that keep everything else from being tried: the sign-in, the service's address, an unusable lake URL.
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
    for job in settings.jobs {
        Services::new(vec![job])?.check(&mut found).await?;
    }
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
    Ok(findings)
}
