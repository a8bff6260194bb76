//! Paging, selection and order.

use std::collections::BTreeSet;

use super::{World, events, ids};

const SET: &str = "msdyn_copilotevents";

#[tokio::test]
async fn every_row_comes_once_over_the_pages() {
    let world = World::new(&events(1_003)).await;
    for order in ["", "?$orderby=createdon%20asc", "?$orderby=modifiedon+asc"] {
        let pages = world.walk(&format!("{SET}{order}"), 100).await;
        assert_eq!(pages.len(), 11, "{order}");
        let rows = pages.concat();
        assert_eq!(rows.len(), 1_003, "{order}");
        assert_eq!(ids(&rows).into_iter().collect::<BTreeSet<_>>().len(), 1_003, "{order}");
        let column = if order.contains("modifiedon") { "modifiedon" } else { "createdon" };
        let times: Vec<_> = rows.iter().map(|row| row[column].as_str().unwrap().to_owned()).collect();
        assert!(times.is_sorted(), "{order}");
    }
    let served = world.emulator.served();
    assert_eq!(served.rows, 3 * 1_003);
    let events = &served.tables["msdyn_copilotevent"];
    assert_eq!((events.rows, events.rows_served), (1_003, 1_003));
    assert_eq!(events.weeks, events.weeks_served);
    assert_eq!(events.weeks.keys().map(String::as_str).collect::<Vec<_>>(), ["2025-10-19", "2025-10-26"]);
}

#[tokio::test]
async fn windows_are_half_open_and_meet() {
    let world = World::new(&events(500)).await;
    let mut sum = 0;
    for (from, until) in [("2025-10-19", "2025-10-26"), ("2025-10-26", "2025-11-02")] {
        for clock in ["createdon", "modifiedon"] {
            let path =
                format!("{SET}?$filter={clock}%20ge%20{from}T00:00:00Z%20and%20{clock}%20lt%20{until}T00:00:00Z");
            let rows = world.walk(&path, 7).await.concat();
            assert!(rows.iter().all(|row| {
                let time = row[clock].as_str().unwrap();
                time >= from && time < until
            }));
            sum += rows.len();
        }
    }
    assert_eq!(sum, 1_000);
}

#[tokio::test]
async fn a_link_is_refused_when_it_is_not_verbatim() {
    let world = World::new(&events(20)).await;
    let size = [("prefer", "odata.maxpagesize=5")];
    let first = world.get_with(&format!("{SET}?$select=createdon"), &size).await;
    assert_eq!(first.header("preference-applied"), "odata.maxpagesize=5");
    let link = first.link().unwrap();
    assert!(link.starts_with(world.emulator.url().as_str()), "{link}");
    assert_eq!(world.get_with(&link, &size).await.rows().len(), 5);
    assert_eq!(world.get_with(&link, &[("prefer", "odata.maxpagesize=6")]).await.status, 400);
    assert_eq!(world.get(&link).await.status, 400);
    assert_eq!(world.get_with(&link.replace("%22", "%2522"), &size).await.status, 400);
    assert_eq!(world.get_with(&link.replace("createdon", "modifiedon"), &size).await.error().1, "0x80060888");
}

#[tokio::test]
async fn links_use_the_host_that_was_asked() {
    let world = World::new(&events(20)).await;
    let headers = [("prefer", "odata.maxpagesize=5"), ("host", "org.example:8080")];
    let got = world.get_with(SET, &headers).await;
    assert!(got.link().unwrap().starts_with("http://org.example:8080/api/data/v9.2/msdyn_copilotevents?$skiptoken="));
}

#[tokio::test]
async fn a_full_last_page_may_have_a_link_to_nothing() {
    let world = World::new(&events(10)).await;
    assert_eq!(world.walk(SET, 5).await.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    let world = World::new(&format!("[service]\nfull_page_link = true\n{}", events(10))).await;
    assert_eq!(world.walk(SET, 5).await.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 0]);
}

#[tokio::test]
async fn an_empty_result_has_no_link() {
    let world = World::new("").await;
    let got = world.get(SET).await;
    assert_eq!((got.rows().len(), got.link()), (0, None));
}

#[tokio::test]
async fn selections_have_the_key_and_what_was_asked() {
    let world = World::new(&events(3)).await;
    let row = world.get(&format!("{SET}?$select=createdon,_ownerid_value")).await.rows().remove(0);
    let names: BTreeSet<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["@odata.etag", "_ownerid_value", "createdon", "msdyn_copiloteventid", "partitionid"];
    assert_eq!(names, BTreeSet::from(wanted));
    for name in ["ownerid", "msdyn_scenariotypename", "nonsense"] {
        let (status, code, message) = world.get(&format!("{SET}?$select=createdon,{name}")).await.error();
        assert_eq!((status, code.as_str()), (400, "0x80060888"));
        assert!(message.contains(&format!("Could not find a property named '{name}'")), "{message}");
    }
}

#[tokio::test]
async fn elastic_tables_refuse_what_cosmos_cannot_do() {
    let world = World::new(&events(3)).await;
    assert_eq!(world.get(&format!("{SET}?$orderby=createdon%20asc,modifiedon%20asc")).await.status, 400);
}

#[tokio::test]
async fn unknown_tables_and_columns_of_older_environments() {
    let scenario = "[[table]]\nname = \"msdyn_copilotevent\"\nrows = 2\nwithout = [\"msdyn_aiagent\"]";
    let world = World::new(scenario).await;
    assert_eq!(world.get("accounts").await.error().2, "Resource not found for the segment 'accounts'.");
    assert_eq!(world.get(&format!("{SET}?$select=msdyn_aiagent")).await.status, 400);
    assert!(world.get(SET).await.rows()[0].get("msdyn_aiagent").is_none());
    let world = World::new("[[table]]\nname = \"msdyn_copilotevent\"\nabsent = true").await;
    let absent = world.get(SET).await.error();
    assert_eq!(absent, (404, "0x80060888".to_owned(), format!("Resource not found for the segment '{SET}'.")));
}

#[tokio::test]
async fn every_answer_has_the_service_headers() {
    let world = World::new(&format!("clock = 2025-11-05T12:00:00Z\n{}", events(1))).await;
    for path in ["WhoAmI", SET, "nothing"] {
        let got = world.get(path).await;
        assert_eq!(got.header("date"), "Wed, 05 Nov 2025 12:00:00 GMT", "{path}");
        assert_eq!(got.header("x-ms-dop-hint"), "52");
        assert_eq!(got.header("x-ms-service-request-id").len(), 36);
    }
    assert_eq!(world.get("WhoAmI").await.json()["OrganizationId"], crate::ORGANIZATION_ID);
}

#[tokio::test]
async fn answers_are_compressed_on_demand() {
    let world = World::new(&format!("[service]\ngzip = true\n{}", events(50))).await;
    let got = world.get_with(SET, &[("accept-encoding", "gzip")]).await;
    assert_eq!(got.header("content-encoding"), "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(got.bytes.as_slice()), &mut text).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["value"].as_array().unwrap().len(), 50);
    assert_eq!(world.get(SET).await.rows().len(), 50, "plain for those who do not accept it");
    let plain = World::new(&events(50)).await;
    assert_eq!(plain.get_with(SET, &[("accept-encoding", "gzip")]).await.header("content-encoding"), "");
}
