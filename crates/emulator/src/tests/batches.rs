//! Batches: several requests in one, as the service documents them.

use super::{Got, World, events};

const SET: &str = "msdyn_copilotevents";

/// A batch of these requests, as the vendor writes it.
fn batch(targets: &[String]) -> String {
    let part = |target: &String| {
        format!(
            "--batch_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             GET {target} HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        )
    };
    format!("{}--batch_1--\r\n", targets.iter().map(part).collect::<String>())
}

const TYPE: &str = "multipart/mixed; boundary=\"batch_1\"";
const GO_ON: [(&str, &str); 2] = [("content-type", TYPE), ("prefer", "odata.continue-on-error")];

/// Status and body of each part.
fn parts(got: &Got) -> Vec<(u16, String)> {
    let boundary = got.header("content-type").strip_prefix("multipart/mixed; boundary=").unwrap().to_owned();
    assert!(boundary.starts_with("batchresponse_"), "{boundary}");
    let text = String::from_utf8(got.bytes.clone()).unwrap();
    let (text, end) = text.split_once(&format!("--{boundary}--")).unwrap();
    assert_eq!(end, "\r\n");
    let delimiter = format!("--{boundary}\r\n");
    let parts = text.split(&delimiter).skip(1).map(|part| {
        let head = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 ";
        let (head, body) = part.strip_prefix(head).unwrap().split_once("\r\n\r\n").unwrap();
        (head[..3].parse().unwrap(), body.strip_suffix("\r\n").unwrap().to_owned())
    });
    parts.collect()
}

/// The targets of the Files in these rows.
async fn files(world: &World) -> Vec<String> {
    let rows = world.get(SET).await.rows();
    let named = rows.iter().filter(|row| row["msdyn_interactiondata"].is_string());
    let target = |row: &serde_json::Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let key =
            format!("msdyn_copiloteventid={},partitionid='{}'", text("msdyn_copiloteventid"), text("partitionid"));
        format!("/api/data/v9.2/{SET}({key})/msdyn_interactiondata")
    };
    named.map(target).collect()
}

fn value(body: &str) -> Vec<u8> {
    let object: serde_json::Value = serde_json::from_str(body).unwrap();
    base64_simd::STANDARD.decode_to_vec(object["value"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn files_come_as_base64_in_the_order_of_their_requests() {
    let world = World::new(&events(50)).await;
    let files = files(&world).await;
    let got = world.post("$batch", &GO_ON, batch(&files)).await;
    assert_eq!((got.status, got.header("preference-applied")), (200, "odata.continue-on-error"));
    let parts = parts(&got);
    assert_eq!(parts.len(), files.len());
    for ((status, body), file) in parts.iter().zip(&files) {
        let single = world.get(&format!("{}/$value", &file["/api/data/v9.2/".len()..])).await;
        assert_eq!((*status, value(body)), (200, single.bytes));
        let context = serde_json::from_str::<serde_json::Value>(body).unwrap()["@odata.context"].to_string();
        assert!(context.contains(&file["/api/data/v9.2/".len()..]), "{context}");
    }
    let served = world.emulator.served();
    assert_eq!((served.requests["batch"], served.batch_parts), (1, files.len() as u64));
    assert_eq!((served.requests["file"], served.payloads), (files.len() as u64, 2 * files.len() as u64));
    // The same by itself, as the vendor's how-to requests it.
    let single = world.get(&files[0]["/api/data/v9.2/".len()..]).await;
    assert_eq!(value(&String::from_utf8(single.bytes).unwrap()), value(&parts[0].1));
}

#[tokio::test]
async fn a_part_that_fails_ends_the_batch_unless_the_client_prefers_otherwise() {
    let world = World::new(&events(50)).await;
    let mut files = files(&world).await;
    files.truncate(3);
    files[1] = files[1].replace("msdyn_copiloteventid=", "msdyn_copiloteventid=00000000-");
    let got = world.post("$batch", &GO_ON, batch(&files)).await;
    let statuses = |got: &Got| parts(got).iter().map(|(status, _)| *status).collect::<Vec<_>>();
    assert_eq!((got.status, statuses(&got)), (200, vec![200, 404, 200]));
    let got = world.post("$batch", &[("content-type", TYPE)], batch(&files)).await;
    assert_eq!((got.status, statuses(&got)), (404, vec![200, 404]));
    let odd = ["/api/data/v9.2/WhoAmI".to_owned(), format!("{}/$value", files[0]), "/elsewhere".to_owned()];
    let got = world.post("$batch", &GO_ON, batch(&odd)).await;
    assert_eq!(statuses(&got), [200, 400, 404], "streams in a part are not documented");
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let world = World::new(&events(5)).await;
    let who = batch(&["/api/data/v9.2/WhoAmI".to_owned()]);
    for (content_type, body) in [
        ("application/json", who.clone()),
        ("multipart/mixed", who.clone()),
        ("multipart/mixed; boundary=other", who.clone()),
        (TYPE, who.replace("\r\n", "\n")),
        (TYPE, who.replace("--batch_1--", "")),
        (TYPE, who.replace("application/http", "text/plain")),
        (TYPE, who.replace("binary", "7bit")),
        (TYPE, who.replace(" HTTP/1.1", "")),
        (TYPE, who.replace("WhoAmI", "$batch")),
        (TYPE, batch(&vec!["/api/data/v9.2/WhoAmI".to_owned(); 1_001])),
        (TYPE, batch(&[format!("/api/data/v9.2/WhoAmI?{}", "x".repeat(64 << 10))])),
    ] {
        let got = world.post("$batch", &[("content-type", content_type)], body.clone()).await;
        assert_eq!(got.error().0, 400, "{content_type} {body:.200}");
    }
    let most = batch(&vec!["/api/data/v9.2/WhoAmI".to_owned(); 1_000]);
    assert_eq!(parts(&world.post("$batch", &GO_ON, most).await).len(), 1_000);
    assert_eq!(world.get("$batch").await.error().0, 400);
    assert_eq!(world.post("WhoAmI", &[], String::new()).await.error().0, 405);
}

#[tokio::test]
async fn an_environment_refuses_every_batch() {
    for status in [400, 403, 404, 405] {
        let world = World::new(&format!("[service]\nrefuse_batches = {status}\n{}", events(5))).await;
        let body = batch(&["/api/data/v9.2/WhoAmI".to_owned()]);
        assert_eq!(world.post("$batch", &GO_ON, body).await.error().0, status);
        assert_eq!(world.get("WhoAmI").await.status, 200);
    }
}

#[tokio::test]
async fn a_batch_is_one_request_and_its_parts_take_their_time() {
    let who = |parts: usize| batch(&vec!["/api/data/v9.2/WhoAmI".to_owned(); parts]);
    let world = World::new("[service]\nlimits = { requests = 3 }").await;
    for status in [200, 200, 200, 429] {
        assert_eq!(world.post("$batch", &GO_ON, who(50)).await.status, status);
    }
    let world = World::new("[service]\nlatency_ms = 3\nlimits = { execution = 1, ms_per_request = 10 }").await;
    let begun = std::time::Instant::now();
    assert_eq!(world.post("$batch", &GO_ON, who(60)).await.status, 200);
    assert!(begun.elapsed().as_millis() >= 180);
    assert_eq!(world.post("$batch", &GO_ON, who(60)).await.status, 200, "what is begun is finished");
    let error = world.post("$batch", &GO_ON, who(1)).await.error();
    assert_eq!((error.0, error.1.as_str()), (429, "0x80072321"));
}

#[tokio::test]
async fn servers_count_for_themselves() {
    for (servers, answered) in [(1, 4), (3, 12)] {
        let world = World::new(&format!("[service]\nlimits = {{ requests = 4, servers = {servers} }}")).await;
        let mut statuses = Vec::new();
        for _ in 0..15 {
            statuses.push(world.get("WhoAmI").await.status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), answered, "{statuses:?}");
    }
}

#[tokio::test]
async fn faults_hit_whole_batches_or_parts() {
    let world = |fault: &str| {
        let scenario = format!("{}\n[[fault]]\nnumber = 1\n{fault}", events(50));
        async move { World::new(&scenario).await }
    };
    for (fault, status) in [("kind = \"429\"\nretry_after = 1", 429), ("kind = \"503\"", 503)] {
        let world = world(&format!("at = \"batch\"\n{fault}")).await;
        let files = files(&world).await;
        assert_eq!(world.post("$batch", &GO_ON, batch(&files)).await.error().0, status);
        let got = world.post("$batch", &GO_ON, batch(&files)).await;
        assert!(parts(&got).iter().all(|(status, _)| *status == 200));
    }
    let cut = world("at = \"batch\"\nkind = \"cut_chunked\"").await;
    let targets = files(&cut).await;
    assert!(cut.try_post("$batch", &GO_ON, batch(&targets)).await.is_err());
    for (fault, first) in
        [("kind = \"500\"", Some(500)), ("kind = \"cut_body\"", Some(200)), ("kind = \"reset\"", None)]
    {
        let world = world(&format!("at = \"file\"\n{fault}")).await;
        let files = files(&world).await;
        let parts = parts(&world.post("$batch", &GO_ON, batch(&files)).await);
        assert_eq!(parts.len(), files.len() - usize::from(first.is_none()), "{fault}");
        assert_eq!(parts[0].0, first.unwrap_or(200), "{fault}");
        let whole = parts.iter().filter(|(_, body)| body.contains("\"value\":\"") && body.ends_with("\"}"));
        assert_eq!(whole.count(), files.len() - 1, "{fault}");
    }
}
