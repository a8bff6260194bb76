//! Signing in with an assertion: from a client certificate, or from another issuer.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn write(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("file");
    std::fs::write(&path, text).unwrap();
    path
}

fn certificate(file: &Path) -> Credential {
    Credential::Certificate { file: file.to_owned(), password: Some(Secret::new("open-sesame")) }
}

fn own_certificate(folder: &TempDir) -> Credential {
    let parts =
        [include_str!("keys/encrypted.pem"), include_str!("keys/other.pem"), include_str!("keys/certificate.pem")];
    certificate(&write(folder, &parts.concat()))
}

fn field(request: &Request, name: &str) -> String {
    request.form().into_iter().find(|(found, _)| found == name).unwrap().1
}

/// The header and claims of an assertion signed by the test certificate.
fn verified(assertion: &str) -> (Value, Value) {
    let pem: String = include_str!("keys/public.pem").lines().filter(|line| !line.starts_with('-')).collect();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, BASE64_STANDARD.decode(pem).unwrap());
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    key.verify(signed.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (json(header), json(claims))
}

/// A service that accepts only the second token.
fn second(request: &Request) -> Reply {
    if request.header("authorization") == Some("Bearer token-2") { who_am_i() } else { Reply::new(401, "") }
}

#[tokio::test]
async fn files_that_editors_of_windows_saved_are_read_or_said_to_be_utf_16() {
    let server = Server::start(|_| who_am_i()).await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = write(&folder, "\u{feff}of-the-platform\r\n");
    let settings =
        || with_credential(server.url.clone(), Credential::WorkloadIdentity { token_file: token_file.clone() });
    impatient(settings()).who_am_i().await.unwrap();
    assert_eq!(field(&server.signed_in()[0], "client_assertion"), "of-the-platform");
    let utf_16: Vec<u8> = "\u{feff}of-the-platform".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&token_file, utf_16).unwrap();
    let Err(Error::Usage { what }) = Dataverse::new(settings()) else { panic!("it is not UTF-8") };
    let file = token_file.display();
    assert_eq!(what, format!("`{file}`, the file of `AZURE_FEDERATED_TOKEN_FILE`, is UTF-16; save it as UTF-8"));
}

#[tokio::test]
async fn a_certificate_signs_an_assertion_as_documented_and_a_new_one_for_every_sign_in() {
    let server = Server::start(|request| second(&request)).await;
    let folder = tempfile::tempdir().unwrap();
    impatient(with_credential(server.url.clone(), own_certificate(&folder))).who_am_i().await.unwrap();
    let asked = server.signed_in();
    let (scope, url) = (format!("{}.default", server.url), format!("{}tenant/oauth2/v2.0/token", server.url));
    let assertion = field(&asked[0], "client_assertion");
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "client"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
        ("scope", &scope),
    ];
    assert_eq!(asked[0].form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (header, claims) = verified(&assertion);
    // As `openssl x509 -fingerprint` prints them.
    let thumbprint = |hex: &str| {
        let bytes: Vec<_> = hex.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    };
    let sha1 = thumbprint("5E:D5:96:CF:00:4F:C6:45:5E:74:0C:C3:F6:B9:BA:B2:47:B1:44:5B");
    let sha256 =
        thumbprint("42:FA:D8:68:53:F1:88:19:B1:21:36:8E:E6:FF:F9:83:A2:51:32:41:83:D5:8E:2C:65:ED:7A:DC:E0:DF:AA:6F");
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "x5t": sha1, "x5t#S256": sha256}));
    let (from, until) = (claims["nbf"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - from < 60 && until - from == 600);
    let id = claims["jti"].as_str().unwrap();
    let rest = json!({"aud": url, "iss": "client", "sub": "client", "jti": id, "nbf": from, "iat": from, "exp": until});
    assert_eq!(claims, rest);

    assert_eq!(asked.len(), 2, "the service refused the first token");
    assert_ne!(verified(&field(&asked[1], "client_assertion")).1["jti"], id);
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_used_and_one_that_is_broken_is_named() {
    let server = Server::start(|_| who_am_i()).await;
    let folder = tempfile::tempdir().unwrap();
    let service = impatient(with_credential(server.url.clone(), own_certificate(&folder)));
    write(&folder, "hunter2");
    let error = service.who_am_i().await.unwrap_err();
    let Error::Usage { what } = &error else { panic!("{error}") };
    assert!(what.starts_with("the file of `auth.client_certificate_file` is not PEM; convert it"), "{what}");
    assert!(!what.contains("hunter2") && server.signed_in().is_empty());

    let broken =
        Dataverse::new(with_credential(server.url.clone(), certificate(&folder.path().join("file")))).unwrap_err();
    assert!(broken.to_string().contains("is not PEM"), "{broken}");
    let absent =
        Dataverse::new(with_credential(server.url.clone(), certificate(&folder.path().join("none")))).unwrap_err();
    assert!(absent.to_string().ends_with("`auth.client_certificate_file`: no such file or directory"), "{absent}");
}

#[tokio::test]
async fn a_certificate_that_the_application_does_not_know_is_refused_with_its_own_advice() {
    let text = "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered.";
    let body = format!(r#"{{"error":"invalid_client","error_description":"{text}"}}"#);
    let refuse = move |_| Reply::new(401, body.clone());
    let server = Server::start_with(|_| std::future::ready(who_am_i()), refuse).await;
    let folder = tempfile::tempdir().unwrap();
    let service = impatient(with_credential(server.url.clone(), own_certificate(&folder)));
    let error = service.who_am_i().await.unwrap_err().to_string();
    assert!(error.starts_with("sign-in refused (AADSTS700027): the app registration does not know"), "{error}");
    assert!(error.contains("upload") && !error.contains("secret") && !error.contains("identifier"), "{error}");
    assert_eq!(server.signed_in().len(), 1);
}

#[tokio::test]
async fn a_federated_token_is_read_again_for_every_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = write(&folder, "first.federated.token\n");
    let rotated = token_file.clone();
    let server = Server::start(move |request| {
        std::fs::write(&rotated, "second.federated.token").unwrap();
        second(&request)
    })
    .await;
    let service = impatient(with_credential(server.url.clone(), Credential::WorkloadIdentity { token_file }));
    service.who_am_i().await.unwrap();
    let asked = server.signed_in();
    let scope = format!("{}.default", server.url);
    for (request, token) in asked.iter().zip(["first.federated.token", "second.federated.token"]) {
        let expected = [
            ("grant_type", "client_credentials"),
            ("client_id", "client"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", token),
            ("scope", &scope),
        ];
        assert_eq!(request.form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    assert_eq!(asked.len(), 2);
    assert!(!format!("{service:?}").contains("federated.token"));
}

#[tokio::test]
async fn a_federated_token_that_is_missing_or_not_trusted_is_refused_with_its_own_advice() {
    let text = "AADSTS700213: No matching federated identity record found for presented assertion subject 'hunter2'.";
    let body = format!(r#"{{"error":"invalid_client","error_description":"{text}"}}"#);
    let refuse = move |_| Reply::new(401, body.clone());
    let server = Server::start_with(|_| std::future::ready(who_am_i()), refuse).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = |token_file| with_credential(server.url.clone(), Credential::WorkloadIdentity { token_file });
    let error = Dataverse::new(settings(folder.path().join("none"))).unwrap_err();
    assert!(error.to_string().contains("the file of `AZURE_FEDERATED_TOKEN_FILE`: no such file"), "{error}");
    let error = Dataverse::new(settings(write(&folder, " \n"))).unwrap_err();
    assert!(error.to_string().contains("holds no token"), "{error}");
    let error = impatient(settings(write(&folder, "hunter2"))).who_am_i().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.starts_with("sign-in refused (AADSTS700213): ") && text.contains("subject"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
