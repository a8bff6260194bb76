//! The bytes of Files, and requests that are not answered.

use super::{World, events};

const SET: &str = "msdyn_copilotevents";

fn address(row: &serde_json::Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    format!("{SET}(msdyn_copiloteventid={},partitionid='{}')", text("msdyn_copiloteventid"), text("partitionid"))
}

#[tokio::test]
async fn a_file_is_found_by_both_parts_of_the_key() {
    let world = World::new(&events(50)).await;
    let rows = world.get(SET).await.rows();
    let row = rows.iter().find(|row| row["msdyn_interactiondata"].is_string()).unwrap();
    let got = world.get(&format!("{}/msdyn_interactiondata/$value", address(row))).await;
    assert_eq!(got.status, 200);
    let id = row["msdyn_copiloteventid"].as_str().unwrap().to_uppercase();
    let partition = row["partitionid"].as_str().unwrap();
    let same = format!("{SET}(partitionid='{partition}',msdyn_copiloteventid={id})/msdyn_interactiondata/$value");
    assert_eq!(world.get(&same).await.bytes, got.bytes);
    for (address, status, code) in [
        (format!("{SET}(msdyn_copiloteventid={id},partitionid='20250101-20250107-1')"), 404, "0x80060891"),
        (format!("{SET}({id})"), 400, "0x80060888"),
        (format!("{SET}(msdyn_copiloteventid={id},partition='{partition}')"), 400, "0x80060888"),
    ] {
        let error = world.get(&format!("{address}/msdyn_interactiondata/$value")).await.error();
        assert_eq!((error.0, error.1.as_str()), (status, code), "{address}");
    }
    assert_eq!(world.get(&format!("{}/nonsense/$value", address(row))).await.status, 404);
}

#[tokio::test]
async fn what_no_client_sends_is_refused() {
    let world = World::new(&events(5)).await;
    let row = world.get(SET).await.rows().remove(0);
    let row = address(&row);
    for path in [
        row.clone(),
        format!("{row}/createdon/$value"),
        format!("{SET}/$count"),
        format!("{SET}?$top=1"),
        format!("{SET}?$count=true"),
        format!("{SET}?$orderby=createdon%20desc"),
        format!("{SET}?$orderby=msdyn_name%20asc"),
        format!("{SET}?partitionId=x"),
        "EntityDefinitions(LogicalName='msdyn_copilotevent')".to_owned(),
        "EntityDefinitions(LogicalName='msdyn_copilotevent')/Attributes".to_owned(),
    ] {
        assert_eq!(world.get(&path).await.error().0, 400, "{path}");
    }
}

#[tokio::test]
async fn files_are_streamed_and_follow_from_their_id() {
    let world = World::new(&events(300)).await;
    let rows = world.get(SET).await.rows();
    let mut texts = 0;
    let named = rows.iter().filter(|row| !row["msdyn_interactiondata"].is_null());
    for row in named.take(60) {
        let path = format!("{}/msdyn_interactiondata/$value", address(row));
        let got = world.get(&path).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.header("x-ms-file-size"), got.bytes.len().to_string());
        assert_eq!(got.header("x-ms-file-name"), row["msdyn_interactiondata_name"].as_str().unwrap());
        assert_eq!((got.header("content-type"), got.header("mimetype")), ("application/octet-stream", "text/plain"));
        assert_eq!(got.header("content-length"), "", "the service does not tell");
        assert_eq!(world.get(&path).await.bytes, got.bytes);
        let utf16 = [201, 202, 203, 211, 216].contains(&(row["msdyn_scenariotype"].as_i64().unwrap() - 100_230_000));
        let decoded = base64_simd::STANDARD.decode_to_vec(&got.bytes);
        if let Ok(bytes) = decoded {
            texts += 1;
            let text = if utf16 {
                let units: Vec<_> = bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
                String::from_utf16(&units).unwrap()
            } else {
                String::from_utf8(bytes).unwrap()
            };
            assert!((400..8_000).contains(&text.len()), "{}", text.len());
            assert!(text.contains(' '));
        }
    }
    assert!(texts > 40, "most Files are base64: {texts}");
    assert_eq!(world.emulator.served().payloads, 120);
}

#[tokio::test]
async fn a_file_is_also_sent_in_parts() {
    let world = World::new(
        "[[table]]\nname = \"msdyn_copilotevent\"\nrow = [{ payload_text = \"Größe\", encoding = \"base64+utf-16le\", bom = true, payload_name = \"x.txt\" }]",
    )
    .await;
    let row = world.get(SET).await.rows().remove(0);
    let path = format!("{}/msdyn_interactiondata", address(&row));
    let whole = world.get(&format!("{path}/$value")).await;
    assert_eq!(whole.bytes, b"//5HAHIA9gDfAGUA");
    assert_eq!(whole.header("x-ms-file-name"), "x.txt");
    let part = world.get_with(&format!("{path}/$value"), &[("range", "bytes=2-5")]).await;
    assert_eq!((part.status, part.bytes.as_slice()), (206, &b"5HAH"[..]));
    assert_eq!((part.header("x-ms-chunk-size"), part.header("x-ms-file-size")), ("4", "16"));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_404_of_its_own() {
    let world = World::new(
        "[[table]]\nname = \"msdyn_copilotevent\"\nrow = [{ payload_missing = true }, { values = { msdyn_name = \"none\" } }]",
    )
    .await;
    let rows = world.get(SET).await.rows();
    assert_eq!(rows.iter().filter(|row| row["msdyn_interactiondata"].is_string()).count(), 1);
    for row in &rows {
        let (status, code, message) =
            world.get(&format!("{}/msdyn_interactiondata/$value", address(row))).await.error();
        assert_eq!((status, code.as_str()), (404, "0x80040217"));
        let id = row["msdyn_copiloteventid"].as_str().unwrap();
        let wanted = format!("No file attachment found for attribute: msdyn_interactiondata EntityId: {id}.");
        assert_eq!(message, wanted);
    }
}

#[tokio::test]
async fn payloads_come_from_text_base64_and_files() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("text.json"), "{\"ö\":1}").unwrap();
    let toml = r#"
        [[table]]
        name = "msdyn_copilotevent"
        [[table.row]]
        payload_base64 = "AP/+"
        [[table.row]]
        payload_file = "text.json"
        encoding = "utf-16le"
        [[table.row]]
        payload_file = "text.json"
        [[table.row]]
        payload_text = "a"
        encoding = "json+base64+base64+utf-8"
        [[table.row]]
        payload_text = ""
    "#;
    let world = World::with(crate::Scenario::parse_in(toml, directory.path()).unwrap()).await;
    let mut got = Vec::new();
    for row in world.get(SET).await.rows() {
        got.push(world.get(&format!("{}/msdyn_interactiondata/$value", address(&row))).await.bytes);
    }
    let envelope = br#"{"@odata.context":"$metadata#Edm.String","value":"WVE9PQ=="}"#;
    let wanted: [&[u8]; 5] = [b"\x00\xff\xfe", b"{\0\"\0\xf6\0\"\0:\x001\0}\0", "{\"ö\":1}".as_bytes(), envelope, b""];
    assert_eq!(got, wanted);
    assert!(matches!(
        crate::Scenario::parse_in("[[table]]\nname=\"x\"", directory.path()),
        Err(crate::Error::Scenario(_))
    ));
}

#[tokio::test]
async fn files_are_late_large_of_another_size_and_have_names_in_every_script() {
    let scenario = |service: &str| {
        format!(
            "clock = 2025-11-05T12:00:00Z
            {service}
            [[table]]
            name = \"msdyn_copilotevent\"
            row = [
                {{ payload_text = \"hello\", payload_repeat = 1000000, payload_name = \"Transkript ä.json\" }},
                {{ payload_text = \"hello\", payload_size = 9, payload_name = \"50%.txt\" }},
                {{ payload_text = \"hello\", payload_from = 2025-11-05T13:00:00Z }},
            ]
            [[phase]]
            clock = 2025-11-05T13:00:00Z"
        )
    };
    let world = World::new(&scenario("")).await;
    let rows = world.get(SET).await.rows();
    let path = |row: usize| format!("{}/msdyn_interactiondata/$value", address(&rows[row]));
    let part = world.get_with(&path(0), &[("range", "bytes=0-9999999")]).await;
    assert_eq!((part.status, part.bytes.len()), (206, 4 << 20), "no more than that is sent at once");
    assert_eq!(part.header("content-range"), "bytes 0-4194303/5000000");
    assert_eq!(part.header("x-ms-file-name"), "Transkript%20%C3%A4.json");
    assert_eq!(world.get_with(&path(0), &[("range", "bytes=5000000-5000001")]).await.status, 416);
    let other = world.get(&path(1)).await;
    assert_eq!(
        (other.bytes.len(), other.header("x-ms-file-size"), other.header("x-ms-file-name")),
        (5, "9", "50%25.txt")
    );
    assert_eq!(world.get(&path(2)).await.status, 404);
    world.emulator.advance().unwrap();
    assert_eq!(world.get(&path(2)).await.bytes, b"hello");
    for (ranges, status) in [("refused", 400), ("ignored", 200)] {
        let world = World::new(&scenario(&format!("[service]\nranges = \"{ranges}\""))).await;
        let row = world.get(SET).await.rows().remove(0);
        let path = format!("{}/msdyn_interactiondata/$value", address(&row));
        assert_eq!(world.get_with(&path, &[("range", "bytes=0-9")]).await.status, status);
        assert_eq!(world.get(&path).await.bytes.len(), 5_000_000);
    }
}
