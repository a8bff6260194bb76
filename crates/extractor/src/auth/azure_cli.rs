//! The Azure CLI: the user who ran `az login` on this machine.

use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use tokio::process::Command;

use super::application::check_tenant;
use super::token_response::{GrantedToken, aadsts_number};
use crate::error::Error;

/// The CLI goes to the network itself, with retries of its own.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The program and its arguments.
#[derive(Debug)]
pub(crate) struct AzureCli {
    program: PathBuf,
    removed_variables: Vec<String>,
    tenant_id: String,
    resource: String,
}

impl AzureCli {
    /// An empty tenant id means the one that the CLI is logged in to.
    pub(super) fn new(
        program: PathBuf,
        removed_variables: Vec<String>,
        tenant_id: String,
        resource: String,
    ) -> Result<Self, Error> {
        if !tenant_id.is_empty() {
            check_tenant(&tenant_id)?;
        }
        Ok(Self { program, removed_variables, tenant_id, resource })
    }

    /// Asks the CLI for a token.
    ///
    /// <https://learn.microsoft.com/cli/azure/account#az-account-get-access-token>
    pub(super) async fn token(&self) -> Result<GrantedToken, Error> {
        let output = self.output().await?;
        if !output.status.success() {
            return Err(refused(output.status.code(), &String::from_utf8_lossy(&output.stderr)));
        }
        GrantedToken::read(&output.stdout, SystemTime::now()).ok_or_else(|| Error::SignInRefused {
            code: "no token".to_owned(),
            advice: "the Azure CLI prints no token; update it, and run `az login`",
        })
    }

    async fn output(&self) -> Result<Output, Error> {
        let mut command = Command::new(&self.program);
        command.args(["account", "get-access-token", "--output", "json", "--resource", &self.resource]);
        if !self.tenant_id.is_empty() {
            command.args(["--tenant", &self.tenant_id]);
        }
        for name in &self.removed_variables {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let (code, advice) = match tokio::time::timeout(TIMEOUT, command.output()).await {
            Ok(Ok(output)) => return Ok(output),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                ("az not started", "the Azure CLI is not installed or not on the path; install it and run `az login`")
            }
            Ok(Err(_)) => ("az not started", "the Azure CLI cannot be run by this user; check its installation"),
            Err(_) => {
                ("az timed out", "the Azure CLI did not respond within two minutes; try `az account get-access-token`")
            }
        };
        Err(Error::SignInRefused { code: code.to_owned(), advice })
    }
}

/// Maps the CLI's error output to advice; only the vendor's error number is used.
fn refused(status: Option<i32>, complaint: &str) -> Error {
    let number = aadsts_number(complaint);
    let advice = match number.as_str() {
        "500011" | "650057" => {
            "the tenant does not know the service; check `dataverse.url` or `graph.url`, and `auth.tenant_id`"
        }
        "65001" | "65002" => "the Azure CLI may not ask for this service in the tenant; an administrator must consent",
        "90002" | "900023" => "there is no such tenant; check `auth.tenant_id`",
        _ => "run `az login` as the user who runs this program, then try again",
    };
    let code = match (status, number.is_empty()) {
        (_, false) => format!("AADSTS{number}"),
        (Some(status), true) => format!("az exit status {status}"),
        (None, true) => "az was stopped".to_owned(),
    };
    Error::SignInRefused { code, advice }
}
