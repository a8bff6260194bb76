//! Each fault, as a client sees it.

use super::{Scenario, World, events, ids};

const SET: &str = "msdyn_copilotevents";

async fn with(fault: &str) -> World {
    World::new(&format!("{}\n[[fault]]\n{fault}", events(20))).await
}

#[tokio::test]
async fn refusals_come_once_at_their_number() {
    for (kind, status, code) in [
        ("429", 429, "0x80072322"),
        ("500", 500, "0x80040216"),
        ("503", 503, ""),
        ("408", 408, "0x80044151"),
        ("403_privilege", 403, "0x80040220"),
        ("403_member", 403, "0x80072560"),
    ] {
        let world = with(&format!("at = \"page\"\nnumber = 2\nkind = \"{kind}\"\nretry_after = 7")).await;
        assert_eq!(world.get("WhoAmI").await.status, 200, "{kind}: not a page");
        assert_eq!(world.get(SET).await.status, 200, "{kind}: the first page");
        let got = world.get(SET).await;
        assert_eq!((got.error().0, got.error().1.as_str()), (status, code), "{kind}");
        assert_eq!(got.header("retry-after"), "7");
        assert_eq!(world.get(SET).await.status, 200, "{kind}: the third page");
        assert_eq!(world.emulator.served().faults, 1);
    }
}

#[tokio::test]
async fn throttling_may_come_without_a_hint_and_by_another_code() {
    let world = with("at = \"any\"\nnumber = 2\ntimes = 2\nkind = \"429\"\ncode = \"0x80072321\"").await;
    for status in [429, 429, 200] {
        let got = world.get("WhoAmI").await;
        assert_eq!(got.status, status);
        assert_eq!(got.header("retry-after"), "");
        assert!(status == 200 || got.error().1 == "0x80072321");
    }
    assert_eq!(world.emulator.served().retry_after_violations, 0);
}

#[tokio::test]
async fn faults_come_again_and_again_and_where_they_match() {
    let world = with("at = \"page\"\nevery = 3\nkind = \"503\"\nmatching = \"createdon asc\"").await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        assert_eq!(world.get(SET).await.status, 200);
        statuses.push(world.get(&format!("{SET}?$orderby=createdon%20asc")).await.status);
    }
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
}

#[tokio::test]
async fn a_row_breaks_every_page_that_would_hold_it() {
    let row = "[[table.row]]\nvalues = { msdyn_verbatim = \"spoilt\", createdon = 2025-10-20T10:00:00Z }";
    let fault = "at = \"page\"\nevery = 1\nholding = \"spoilt\"\nkind = \"500\"";
    let world = World::new(&format!("{}\n{row}\n[[fault]]\n{fault}", events(20))).await;
    let status = async |filter: &str| world.get(&format!("{SET}?$filter=createdon%20{filter}")).await.status;
    assert_eq!(world.get(SET).await.error().1, "0x80040216");
    assert_eq!(status("lt%202025-10-20T10%3A00%3A00Z").await, 200);
    assert_eq!(status("ge%202025-10-20T10%3A00%3A00Z").await, 500);
    assert_eq!(world.get(&format!("{SET}?$select=createdon")).await.status, 200, "without that column");
    assert!(Scenario::parse("[[fault]]\nat = \"page\"\nnumber = 1\nholding = \"x\"\nkind = \"reset\"").is_err());
}

#[tokio::test]
async fn a_token_is_voided_in_the_middle() {
    let mut world = with("at = \"page\"\nnumber = 2\nkind = \"expired_token\"").await;
    assert_eq!(world.get(SET).await.status, 200);
    let got = world.get(SET).await;
    assert_eq!(got.status, 401);
    assert!(got.header("www-authenticate").starts_with("Bearer "));
    assert_eq!(world.get(SET).await.status, 401, "until there is another");
    world.sign_in().await;
    assert_eq!(world.get(SET).await.status, 200);
    let world = with("at = \"page\"\nnumber = 1\nkind = \"401\"").await;
    assert_eq!(world.get(SET).await.status, 401);
    assert_eq!(world.get(SET).await.status, 200, "the token was good");
}

#[tokio::test]
async fn the_token_endpoint_fails_too() {
    let mut world = with("at = \"token\"\nnumber = 1\nkind = \"503\"").await;
    assert_eq!(world.get(SET).await.status, 401);
    world.sign_in().await;
    assert_eq!(world.get(SET).await.status, 200);
}

#[tokio::test]
async fn bodies_are_cut() {
    for kind in ["cut_body", "cut_chunked"] {
        let world = with(&format!("at = \"page\"\nnumber = 1\nkind = \"{kind}\"")).await;
        let error = world.try_get(SET, &[]).await.err().unwrap();
        assert!(error.is_body() || error.is_decode() || error.is_request(), "{kind}: {error:?}");
        assert_eq!(world.get(SET).await.rows().len(), 20, "{kind}");
    }
    let world = with("at = \"page\"\nnumber = 1\nkind = \"reset\"").await;
    let error = world.try_get(SET, &[]).await;
    // A client may ask again by itself when a connection breaks before an answer.
    assert!(error.is_err() || world.emulator.served().requests["page"] == 2);
    assert_eq!(world.emulator.served().statuses[&0], 1);
}

#[tokio::test]
async fn a_file_is_cut_short_of_its_size() {
    let world = with("at = \"file\"\nnumber = 1\nkind = \"cut_body\"").await;
    let rows = world.get(SET).await.rows();
    let row = rows.iter().find(|row| row["msdyn_interactiondata"].is_string()).unwrap();
    let (id, partition) = (row["msdyn_copiloteventid"].as_str().unwrap(), row["partitionid"].as_str().unwrap());
    let path = format!("{SET}(msdyn_copiloteventid={id},partitionid='{partition}')/msdyn_interactiondata/$value");
    assert!(world.try_get(&path, &[]).await.is_err());
    assert_eq!(world.get(&path).await.status, 200);
}

#[tokio::test]
async fn an_answer_is_slow() {
    let world = with("at = \"page\"\nnumber = 1\nkind = \"slow\"\nms = 120").await;
    let begun = std::time::Instant::now();
    assert_eq!(world.get(SET).await.status, 200);
    assert!(begun.elapsed().as_millis() >= 120);
}

#[tokio::test]
async fn a_proxy_answers_instead() {
    let world = with("at = \"page\"\nnumber = 1\nkind = \"not_json\"").await;
    let got = world.get(SET).await;
    assert_eq!((got.status, got.header("content-type")), (200, "text/html"));
}

#[tokio::test]
async fn short_and_empty_pages_have_a_link() {
    let world = with("at = \"page\"\nnumber = 1\nkind = \"short_page\"\nrows = 2").await;
    assert_eq!(world.walk(SET, 8).await.iter().map(Vec::len).collect::<Vec<_>>(), [2, 8, 8, 2]);
    for number in [1, 2] {
        let world = with(&format!("at = \"page\"\nnumber = {number}\nkind = \"empty_page\"")).await;
        let pages = world.walk(SET, 8).await;
        assert_eq!(pages[number - 1].len(), 0);
        assert_eq!(pages.concat().len(), 20);
        assert_eq!(pages.len(), 4);
    }
}

#[tokio::test]
async fn a_row_comes_again_on_the_next_page() {
    // The first page cannot repeat anything: the first request that counts is the first that follows a link.
    let world = with("at = \"page\"\nnumber = 1\nkind = \"duplicate_row\"").await;
    let pages = world.walk(SET, 8).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [8, 9, 4]);
    assert_eq!(ids(&pages[0])[7], ids(&pages[1])[0]);
    let served = world.emulator.served();
    assert_eq!((served.rows, served.tables["msdyn_copilotevent"].rows_served), (21, 20));
}

#[tokio::test]
async fn links_lead_elsewhere_or_are_refused() {
    let world = with("at = \"page\"\nnumber = 1\nkind = \"foreign_link\"").await;
    let link = world.get_with(SET, &[("prefer", "odata.maxpagesize=8")]).await.link().unwrap();
    assert!(link.starts_with("http://foreign.example/api/data/v9.2/msdyn_copilotevents?$skiptoken="), "{link}");
    let world = with("at = \"page\"\nnumber = 1\nkind = \"foreign_link\"\norigin = \"https://evil.example:1\"").await;
    assert!(world.get(SET).await.link().unwrap().starts_with("https://evil.example:1/api/data/"));
    let world = with("at = \"page\"\nnumber = 1\nkind = \"expired_link\"").await;
    let size = [("prefer", "odata.maxpagesize=8")];
    let link = world.get_with(SET, &size).await.link().unwrap();
    assert_eq!(world.get_with(&link, &size).await.status, 400);
    assert_eq!(world.get_with(&link, &size).await.status, 200);
}

#[tokio::test]
async fn coming_back_too_early_is_noticed() {
    let world = World::new(&format!(
        "{}\n[[fault]]\nat = \"page\"\nnumber = 1\nkind = \"429\"\nretry_after = 60\n\
         [[fault]]\nat = \"page\"\nnumber = 2\nkind = \"slow\"\nms = 600",
        events(2)
    ))
    .await;
    assert_eq!(world.get(SET).await.status, 429);
    assert_eq!(world.emulator.served().retry_after_violations, 0);
    // The second request may have been on its way; it takes the grace away from the third.
    assert_eq!(world.get(SET).await.status, 200);
    assert_eq!(world.get(SET).await.status, 200);
    assert!(world.emulator.served().retry_after_violations >= 1);
}

#[tokio::test]
async fn a_table_that_is_not_available_asks_for_waiting_in_its_requests_alone() {
    let slow = "[[fault]]\nat = \"whoami\"\nnumber = 1\nkind = \"slow\"\nms = 600";
    let fault = "[[fault]]\nat = \"page\"\nnumber = 1\nkind = \"503\"\nretry_after = 60";
    let world = World::new(&format!("{}\n{fault}\n{slow}", events(2))).await;
    assert_eq!(world.get(SET).await.status, 503);
    // The first may have been on its way; it takes the grace away from the others.
    for _ in 0..2 {
        assert_eq!(world.get("WhoAmI").await.status, 200);
    }
    assert_eq!(world.emulator.served().retry_after_violations, 0);
    assert_eq!(world.get(SET).await.status, 200);
    assert_eq!(world.emulator.served().retry_after_violations, 1);

    let slow = slow.replace("whoami", "page");
    let fault = fault.replace("page", "whoami");
    let world = World::new(&format!("{}\n{fault}\n{slow}", events(2))).await;
    assert_eq!(world.get("WhoAmI").await.status, 503);
    for violations in [0, 1] {
        assert_eq!(world.get(SET).await.status, 200);
        assert_eq!(world.emulator.served().retry_after_violations, violations, "no table is meant, but the service");
    }
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused() {
    for (fault, why) in [
        ("at = \"page\"\nkind = \"503\"", "either `number` or `every`"),
        ("at = \"page\"\nnumber = 0\nkind = \"503\"", "from 1"),
        ("at = \"file\"\nnumber = 1\nkind = \"short_page\"", "page"),
        ("at = \"page\"\nnumber = 1\nkind = \"404\"", "unknown variant"),
        ("at = \"page\"\nnumber = 1\nkind = \"503\"\nretryafter = 1", "unknown field"),
        ("at = \"page\"\nnumber = 1\nkind = \"503\"\ntable = \"account\"", "no table `account`"),
    ] {
        let error = crate::Scenario::parse(&format!("[[fault]]\n{fault}")).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
