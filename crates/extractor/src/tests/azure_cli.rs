//! Signing in as the user who ran `az login`, with stand-ins for `az`.

use std::path::Path;

use super::*;

fn as_user(server: &Server, script: &str) -> DataverseSettings {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/az").join(script);
    with_credential(server.url.clone(), Credential::AzureCli { program, removed_variables: Vec::new() })
}

async fn refusal(script: &str) -> String {
    let server = Server::start(|_| who_am_i()).await;
    let error = impatient(as_user(&server, script)).who_am_i().await.unwrap_err();
    assert!(matches!(error, Error::SignInRefused { .. }), "{error}");
    assert!(server.asked().is_empty() && server.signed_in().is_empty());
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hunter2"), "{text}");
    text
}

#[tokio::test]
async fn the_azure_cli_is_asked_as_documented_and_again_for_a_new_token() {
    let server = Server::start(|request| match request.number {
        1 => Reply::new(401, ""),
        _ => who_am_i(),
    })
    .await;
    let service = impatient(as_user(&server, "logged_in"));
    service.who_am_i().await.unwrap();
    service.who_am_i().await.unwrap();
    let tokens: Vec<_> =
        server.asked().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert!(tokens.len() == 3 && tokens.iter().all(|token| token.starts_with("Bearer az-")), "{tokens:?}");
    assert!(tokens[0] != tokens[1] && tokens[1] == tokens[2], "{tokens:?}");
    assert!(!format!("{service:?}").contains("az-"));
}

#[tokio::test]
async fn what_the_azure_cli_lacks_is_said_and_nothing_of_what_it_prints() {
    let text = refusal("logged_out").await;
    assert!(text.starts_with("sign-in refused (az exit status 1): run `az login`"), "{text}");
    let text = refusal("expired").await;
    assert!(text.starts_with("sign-in refused (AADSTS700082): run `az login`"), "{text}");
    let text = refusal("nonsense").await;
    assert!(text.starts_with("sign-in refused (no token): ") && text.contains("run `az login`"), "{text}");
    let text = refusal("not-installed").await;
    assert!(text.starts_with("sign-in refused (az not started): the Azure CLI is not installed"), "{text}");
}

#[tokio::test]
async fn the_azure_cli_gets_no_tenant_that_is_not_a_name() {
    let server = Server::start(|_| who_am_i()).await;
    let mut settings = as_user(&server, "logged_in");
    settings.auth.tenant_id = "--debug".to_owned();
    assert!(matches!(Dataverse::new(settings.clone()), Err(Error::Usage { .. })));
    settings.auth.tenant_id.clear();
    let error = impatient(settings).who_am_i().await.unwrap_err();
    assert!(error.to_string().contains("(az exit status 64)"), "without --tenant: {error}");
}
