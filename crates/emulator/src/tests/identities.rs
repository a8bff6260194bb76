//! Ways to sign in, and how long tokens last.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Got, World, read};
use crate::{CLIENT_ID, CLIENT_ID_2, CLIENT_SECRET, CLIENT_SECRET_2, FEDERATED_TOKEN, IDENTITY_HEADER, TENANT_ID};

const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn jwt(header: &str, claims: &str) -> String {
    let part = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
    format!("{}.{}.{}", part(header), part(claims), part("signature"))
}

async fn assert_with(world: &World, assertion: &str) -> Got {
    let fields = [("client_id", CLIENT_ID), ("client_assertion_type", JWT), ("client_assertion", assertion)];
    world.ask_token_with(TENANT_ID, &fields).await
}

#[tokio::test]
async fn an_assertion_stands_for_a_secret() {
    let world = World::new("").await;
    assert_eq!(assert_with(&world, FEDERATED_TOKEN).await.status, 200);
    let url = world.emulator.url().join(&format!("{TENANT_ID}/oauth2/v2.0/token")).unwrap().to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let header = r#"{"alg":"RS256","typ":"JWT","x5t":"abc"}"#;
    let claims = |aud: &str, iss: &str, exp: u64| {
        format!(r#"{{"aud":"{aud}","iss":"{iss}","sub":"{CLIENT_ID}","jti":"1","nbf":{now},"exp":{exp}}}"#)
    };
    assert_eq!(assert_with(&world, &jwt(header, &claims(&url, CLIENT_ID, now + 600))).await.status, 200);
    for (assertion, code) in [
        (jwt(header, &claims(&url, CLIENT_ID_2, now + 600)), "AADSTS700021"),
        (jwt(header, &claims("https://elsewhere.example", CLIENT_ID, now + 600)), "AADSTS700023"),
        (jwt(header, &claims(&url, CLIENT_ID, now - 1)), "AADSTS700024"),
        (jwt(r#"{"alg":"none"}"#, &claims(&url, CLIENT_ID, now + 600)), "AADSTS700027"),
        ("no.jwt".to_owned(), "AADSTS50027"),
        ("a.b.c".to_owned(), "AADSTS50027"),
    ] {
        let got = assert_with(&world, &assertion).await;
        assert_eq!(got.status, 401);
        let text = got.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.starts_with(code), "{text}");
    }
}

#[tokio::test]
async fn a_machine_gets_a_token_without_a_secret() {
    let mut world = World::new("").await;
    let base = world.emulator.url().to_string();
    let machine = format!("{base}metadata/identity/oauth2/token?api-version=2018-02-01");
    let service = format!("{base}msi/token?api-version=2019-08-01");
    let ask = async |world: &World, url: &str, headers: &[(&str, &str)]| {
        let mut request = world.client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request).await.unwrap()
    };
    let resource = format!("&resource={base}");
    for (url, headers, status) in [
        (format!("{machine}{resource}"), &[("metadata", "true")][..], 200),
        (format!("{machine}{resource}"), &[], 400),
        (format!("{machine}{resource}"), &[("metadata", "true"), ("x-forwarded-for", "10.0.0.1")], 400),
        (machine, &[("metadata", "true")], 400),
        (format!("{base}metadata/identity/oauth2/token?resource={base}"), &[("metadata", "true")], 400),
        (format!("{service}{resource}"), &[("x-identity-header", IDENTITY_HEADER)], 200),
        (format!("{service}{resource}"), &[("x-identity-header", "other")], 403),
        (format!("{service}{resource}&client_id={CLIENT_ID_2}"), &[("x-identity-header", IDENTITY_HEADER)], 200),
        (format!("{service}{resource}&client_id=unknown"), &[("x-identity-header", IDENTITY_HEADER)], 400),
    ] {
        let got = ask(&world, &url, headers).await;
        assert_eq!(got.status, status, "{url}");
        if status == 200 {
            let body = got.json();
            assert!(body["expires_on"].as_str().unwrap().parse::<u64>().is_ok());
            world.token = body["access_token"].as_str().unwrap().to_owned();
            assert_eq!(world.get("WhoAmI").await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_token_is_good_at_its_own_origin_only() {
    let mut world = World::new("").await;
    let fields =
        [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("scope", "https://org.example/.default")];
    // The last field of a name counts.
    let got = world.ask_token_with(TENANT_ID, &fields).await;
    world.token = got.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("WhoAmI").await.status, 401);
    let proxied = [("x-forwarded-proto", "https"), ("x-forwarded-host", "org.example")];
    let got = world.get_with("WhoAmI", &proxied).await;
    assert_eq!(got.status, 200);
    assert!(got.json()["@odata.context"].as_str().unwrap().starts_with("https://org.example/api/data/v9.2/$metadata#"));
}

#[tokio::test]
async fn applications_are_told_apart() {
    let mut world = World::new("[service]\nlimits = { requests = 2 }").await;
    for _ in 0..2 {
        assert_eq!(world.get("WhoAmI").await.status, 200);
    }
    assert_eq!(world.get("WhoAmI").await.status, 429);
    let got = world.ask_token(TENANT_ID, CLIENT_ID_2, CLIENT_SECRET_2).await;
    world.token = got.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("WhoAmI").await.status, 200, "the limit is the other one's");
    assert_eq!(world.ask_token(TENANT_ID, CLIENT_ID_2, CLIENT_SECRET).await.status, 401);
    let asked: Vec<_> = world.emulator.requests().iter().map(|request| (request.kind, request.application)).collect();
    let (one, two) = (Some(CLIENT_ID), Some(CLIENT_ID_2));
    let wanted = [
        ("token", one),
        ("whoami", one),
        ("whoami", one),
        ("whoami", one),
        ("token", two),
        ("whoami", two),
        ("token", two),
    ];
    assert_eq!(asked, wanted);
    assert_eq!(world.emulator.served().retry_after_violations, 0);
}

#[tokio::test]
async fn applications_are_users_of_their_own_that_can_be_revoked_or_unknown() {
    let mut world = World::new("[[application]]\nnumber = 2\nrevoked_after = 2").await;
    let one = world.get("WhoAmI").await.json()["UserId"].as_str().unwrap().to_owned();
    let got = world.ask_token(TENANT_ID, CLIENT_ID_2, CLIENT_SECRET_2).await;
    let first = std::mem::replace(&mut world.token, got.json()["access_token"].as_str().unwrap().to_owned());
    let two = world.get("WhoAmI").await.json()["UserId"].as_str().unwrap().to_owned();
    assert_ne!(one, two);
    assert_eq!(
        world.get(&format!("systemusers({two})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()")).await.status,
        200
    );
    assert_eq!(world.get("WhoAmI").await.status, 401);
    let got = world.ask_token(TENANT_ID, CLIENT_ID_2, CLIENT_SECRET_2).await;
    assert!(got.json()["error_description"].as_str().unwrap().starts_with("AADSTS7000112"));
    world.token = first;
    assert_eq!(world.get("WhoAmI").await.status, 200, "the other one goes on");

    let mut world = World::new("[[application]]\nnumber = 2\nmember = false").await;
    assert_eq!(world.get("WhoAmI").await.status, 200);
    let got = world.ask_token(TENANT_ID, CLIENT_ID_2, CLIENT_SECRET_2).await;
    world.token = got.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("WhoAmI").await.status, 403);
    assert!(crate::Scenario::parse("[[application]]\nnumber = 3").is_err());
}

#[tokio::test]
async fn time_can_pass_faster_for_limits() {
    let world = World::new("[service]\nlimits = { requests = 2, window = 300, compression = 3000 }").await;
    for _ in 0..2 {
        assert_eq!(world.get("WhoAmI").await.status, 200);
    }
    let got = world.get("WhoAmI").await;
    let wait: f64 = got.header("retry-after").parse().unwrap();
    // At most 301 s, in the time that passes.
    assert!(got.status == 429 && wait > 0.0 && wait < 0.101, "{wait}");
}
