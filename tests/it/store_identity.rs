//! The identity of `[lake.auth]` and `[auth]` at Azure Blob: Azurite takes tokens over TLS, and checks their audience,
//! issuer and lifetime.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, TENANT_ID};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::harness::text;
use crate::store_servers::{BOTH, Kind, Server, rows, world};

/// For `https://storage.azure.com`, from `https://sts.windows.net/tenant/`, until 2100.
const TOKEN: &str = concat!(
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.",
    "eyJhdWQiOiJodHRwczovL3N0b3JhZ2UuYXp1cmUuY29tIiwiaXNzIjoiaHR0cHM6Ly9zdHMud2luZG93cy5uZXQvdGVuYW50LyIsImlhdCI6MCwi",
    "bmJmIjowLCJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl"
);

/// As [`TOKEN`], for `https://graph.microsoft.com`.
const OTHER_AUDIENCE: &str = concat!(
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.",
    "eyJhdWQiOiJodHRwczovL2dyYXBoLm1pY3Jvc29mdC5jb20iLCJpc3MiOiJodHRwczovL3N0c",
    "y53aW5kb3dzLm5ldC90ZW5hbnQvIiwiaWF0IjowLCJuYmYiOjAsImV4cCI6NDEwMjQ0NDgwMH0.c2lnbmF0dXJl"
);

/// An authority that gives everybody this token. Returns its URL, and the bodies of requests.
fn authority(token: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&asked);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
            let is_whole = |request: &[u8]| {
                let request = text(request).to_lowercase();
                let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                body.len() >= length.unwrap_or_default()
            };
            while !is_whole(&request) {
                match stream.read(&mut chunk) {
                    Ok(count @ 1..) => request.extend_from_slice(&chunk[..count]),
                    _ => break,
                }
            }
            requests.lock().unwrap().push(text(&request));
            let body = format!("{{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"{token}\"}}");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    (url, asked)
}

#[test]
fn the_configured_identity_signs_in_to_azure() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A certificate with the name of its issuer counts as self-signed, whoever signed it.
    params.distinguished_name.push(DnType::CommonName, "CA of the test");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let [ca_file, certificate_file, key_file] =
        ["ca.pem", "server.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&ca_file, issuer.pem()).unwrap();
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();

    let server = Server::azurite_with_tokens(&certificate_file, &key_file, &ca_file);
    let mut world = world(Kind::Azure, &server.url, BOTH);
    let with_key = world.store.clone();
    let (_, options) = world.store.as_mut().unwrap();
    options.options.remove("azure_storage_account_key");
    world.keys.insert("network.ca_file".to_owned(), ca_file.to_str().unwrap().into());

    let identity = |authority: &str| {
        let entries = [("authority", authority), ("tenant_id", TENANT_ID), ("client_id", CLIENT_ID)];
        let entries = entries.into_iter().chain([("client_secret", CLIENT_SECRET)]);
        toml::Value::Table(entries.map(|(key, value)| (key.to_owned(), value.into())).collect())
    };
    let (url, _) = authority(OTHER_AUDIENCE);
    world.keys.insert("lake.auth".to_owned(), identity(&url));
    let refused = world.run(&["check"]);
    let told = format!("{}{}", text(&refused.stdout), text(&refused.stderr));
    assert!(!refused.status.success() && told.contains("lake"), "{told}");
    assert!(!told.contains(CLIENT_SECRET) && !told.contains("Bearer ") && !told.contains(OTHER_AUDIENCE), "{told}");

    let (url, asked) = authority(TOKEN);
    world.keys.insert("lake.auth".to_owned(), identity(&url));
    let output = world.run(&["extract", "-v"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let requests = std::mem::take(&mut *asked.lock().unwrap());
    assert!(!requests.is_empty() && requests.iter().all(|of| of.contains("storage.azure.com")), "for storage alone");

    // The same of `[auth]`, with identities of their own for the services.
    let emulator = world.emulator.url().to_string();
    world.keys.remove("lake.auth");
    world.keys.insert("auth.authority".to_owned(), url.into());
    world.keys.insert("dataverse.auth".to_owned(), identity(&emulator));
    world.keys.insert("graph.auth".to_owned(), identity(&emulator));
    let output = world.run(&["extract", "-v"]);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(!asked.lock().unwrap().is_empty());
    assert!(!told.contains(TOKEN) && !told.contains(CLIENT_SECRET), "{told}");

    let (url, mut options) = with_key.unwrap();
    options.ca = Some(issuer.pem().into_bytes());
    world.store = Some((url, options));
    assert_eq!(rows(&world)["msdyn_copilotevent"], 2000);
}
