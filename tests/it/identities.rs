//! Every way to sign in, against the emulator's endpoints, and a separate identity for one service.

use copilot_lake_emulator::{CLIENT_ID, Scenario};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::harness::{World, text};

fn world(method: &str) -> World {
    let mut world = World::new(Scenario::rows(60, 1));
    world.keys.insert("auth.method".to_owned(), method.into());
    world.keys.insert("auth.client_secret".to_owned(), "".into());
    world
}

/// Runs `extract` with these variables of the platform.
fn extract(world: &World, variables: &[(&str, &str)]) {
    let output = world.command(&["extract"]).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    world.check_lake();
    world.check_complete();
}

#[test]
fn by_a_certificate() {
    let mut world = world("client-certificate");
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let certificate = CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    std::fs::write(world.folder.path().join("app.pem"), pem).unwrap();
    world.keys.insert("auth.client_certificate_file".to_owned(), "app.pem".into());
    extract(&world, &[]);
}

#[test]
fn by_the_identity_of_a_virtual_machine_or_a_container() {
    let mut world = world("managed-identity");
    world.keys.insert("auth.client_id".to_owned(), "".into());
    world.keys.insert("auth.tenant_id".to_owned(), "".into());
    let endpoint = format!("{}msi/token", world.emulator.url());
    extract(&world, &[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "emulator-identity-header")]);
}

#[test]
fn by_a_token_of_another_issuer() {
    let world = world("workload-identity");
    let file = world.folder.path().join("token");
    std::fs::write(&file, "emulator-federated-token").unwrap();
    extract(&world, &[("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap())]);
}

#[cfg(unix)]
#[test]
fn by_the_azure_cli() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world("azure-cli");
    // Stands for `az`: it asks the token endpoint with a secret, as `az` asks with what `az login` kept.
    let script = format!(
        "#!/usr/bin/env python3
import json, os, sys, time, urllib.parse, urllib.request
inherited = [name for name in os.environ if name.startswith('COPILOT_LAKE_')]
if inherited:
    sys.exit('inherited: ' + ', '.join(inherited))
resource = sys.argv[sys.argv.index('--resource') + 1]
form = urllib.parse.urlencode({{'grant_type': 'client_credentials', 'client_id': '{CLIENT_ID}',
    'client_secret': 'emulator-secret', 'scope': resource + '/.default'}}).encode()
url = '{}{}/oauth2/v2.0/token'
answer = json.load(urllib.request.urlopen(url, form))
print(json.dumps({{'accessToken': answer['access_token'], 'expires_on': int(time.time()) + 3000, 'tokenType': 'Bearer'}}))
",
        world.emulator.url(),
        copilot_lake_emulator::TENANT_ID,
    );
    let folder = world.folder.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let az = folder.join("az");
    std::fs::write(&az, script).unwrap();
    std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    // Another program does not get what only this one needs.
    extract(&world, &[("PATH", &path), ("COPILOT_LAKE_AUTH__CLIENT_SECRET", "emulator-secret")]);
}

#[test]
fn one_service_has_an_identity_of_its_own() {
    let mut world = World::new(Scenario::rows(60, 1));
    let (id, secret) = (copilot_lake_emulator::CLIENT_ID_2, copilot_lake_emulator::CLIENT_SECRET_2);
    world.keys.insert("auth.client_secret".to_owned(), "not this one".into());
    let own = [format!("dataverse.auth.client_id={id}"), format!("dataverse.auth.client_secret={secret}")];
    world.extract(&["--set", &own[0], "--set", &own[1]], 0);
    world.check_complete();
    let asked = world.emulator.requests();
    assert!(asked.iter().all(|request| request.application == Some(id)), "somebody else asked");
}
