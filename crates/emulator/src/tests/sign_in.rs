//! Tokens: who gets one, and how long it is good for.

use super::{World, events};
use crate::{CLIENT_ID, CLIENT_SECRET, TENANT_ID};

#[tokio::test]
async fn a_token_is_given_for_the_right_secret_only() {
    let world = World::new("").await;
    let got = world.ask_token(TENANT_ID, CLIENT_ID, CLIENT_SECRET).await.json();
    assert_eq!((got["token_type"].as_str(), got["expires_in"].as_u64()), (Some("Bearer"), Some(3_599)));
    for (tenant, client, secret, status, error, code) in [
        (TENANT_ID, CLIENT_ID, "wrong", 401, "invalid_client", "AADSTS7000215: "),
        (TENANT_ID, "wrong", CLIENT_SECRET, 400, "unauthorized_client", "AADSTS700016: "),
        ("wrong", CLIENT_ID, CLIENT_SECRET, 400, "invalid_request", "AADSTS90002: "),
    ] {
        let got = world.ask_token(tenant, client, secret).await;
        let body = got.json();
        assert_eq!((got.status, body["error"].as_str()), (status, Some(error)));
        assert!(body["error_description"].as_str().unwrap().starts_with(code));
        assert!(body.get("access_token").is_none());
    }
}

#[tokio::test]
async fn calls_without_a_good_token_are_challenged() {
    let mut world = World::new("").await;
    world.token = "emulator.1.forged".to_owned();
    let got = world.get("WhoAmI").await;
    assert_eq!(got.status, 401);
    let host = world.emulator.url().authority().to_owned();
    let wanted =
        format!("Bearer authorization_uri=http://{host}/{TENANT_ID}/oauth2/authorize, resource_id=http://{host}/");
    assert_eq!(got.header("www-authenticate"), wanted);
}

#[tokio::test]
async fn a_token_expires_after_its_time_and_after_its_requests() {
    let world = World::new("[token]\nlifetime = 0").await;
    assert_eq!(world.get("WhoAmI").await.status, 401);
    let mut world = World::new("[token]\nrequests = 2").await;
    for status in [200, 200, 401, 401] {
        assert_eq!(world.get("WhoAmI").await.status, status);
    }
    world.sign_in().await;
    assert_eq!(world.get("WhoAmI").await.status, 200);
    let served = world.emulator.served();
    assert_eq!((served.requests["token"], served.requests["whoami"]), (2, 5));
    assert_eq!((served.statuses[&200], served.statuses[&401]), (5, 2));
}

#[tokio::test]
async fn only_reading_is_possible() {
    let world = World::new(&events(1)).await;
    let url = format!("{}api/data/v9.2/msdyn_copilotevents", world.emulator.url());
    let request = world.client.post(url).bearer_auth(&world.token).body("{}");
    assert_eq!(super::read(request).await.unwrap().status, 405);
}

#[tokio::test]
async fn limits_refuse_with_the_documented_codes() {
    let limits = "[service]\nlimits = { requests = 2, window = 300 }";
    let world = World::new(limits).await;
    for _ in 0..2 {
        assert_eq!(world.get("WhoAmI").await.status, 200);
    }
    let got = world.get("WhoAmI").await;
    assert_eq!(got.error().1, "0x80072322");
    let wait: u64 = got.header("retry-after").parse().unwrap();
    assert!((290..=301).contains(&wait), "{wait}");
    let world = World::new("[service]\nlimits = { concurrency = 0 }").await;
    assert_eq!(world.get("WhoAmI").await.error().1, "0x80072326");
}
