//! Change tracking: what a client that keeps a token sees.

use serde_json::Value;

use super::{World, events, ids};

const SET: &str = "msdyn_copilotevents";
const TRACK: (&str, &str) = ("prefer", "odata.track-changes");

fn scenario() -> String {
    format!(
        "clock = 2025-11-05T12:00:00Z\n{}{}",
        events(30),
        r#"
        [[phase]]
        clock = 2025-11-06T12:00:00Z
        row = [{ values = { msdyn_copiloteventid = "f9d841e5-34e7-ee11-904c-000d3a3bb867", partitionid = "p", msdyn_name = "new" } }]
        change = [{ position = -1, values = { msdyn_name = "changed" } }, { position = 5, values = { msdyn_name = "changed" } }]
        delete = [{ position = 0 }, { position = 1 }]
        [[phase]]
        clock = 2025-11-07T12:00:00Z
        delete = [{ key = ["f9d841e5-34e7-ee11-904c-000d3a3bb867", "p"] }]
        change = [{ position = 0, values = { msdyn_name = "again" } }]
        [[phase]]
        row = [{ values = { msdyn_copiloteventid = "f9d841e5-34e7-ee11-904c-000d3a3bb867", partitionid = "p" } }]
        [[phase]]
        column = [{ name = "new_region", type = "Text" }]
        "#
    )
}

fn token(got: &super::Got) -> String {
    got.json()["@odata.deltaLink"].as_str().unwrap_or_else(|| panic!("no link: {}", got.json())).to_owned()
}

/// Ids of rows, and ids of deleted rows.
fn split(rows: &[Value]) -> (Vec<String>, Vec<String>) {
    let gone = rows.iter().filter(|row| row["reason"] == "deleted");
    let gone = gone.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let kept: Vec<_> = rows.iter().filter(|row| row.get("reason").is_none()).cloned().collect();
    (ids(&kept), gone)
}

#[tokio::test]
async fn changes_come_since_a_token() {
    let world = World::new(&scenario()).await;
    let full = world.get_with(&format!("{SET}?$select=msdyn_name"), &[TRACK]).await;
    assert_eq!(full.rows().len(), 30);
    assert!(full.header("preference-applied").contains("odata.track-changes"));
    let link = token(&full);
    assert!(link.contains("$select=msdyn_name&$deltatoken=9"), "{link}");
    let none = world.get_with(&link, &[TRACK]).await;
    assert_eq!(none.rows().len(), 0);
    assert!(none.json()["@odata.context"].as_str().unwrap().ends_with("(msdyn_name)/$delta"));

    world.emulator.advance().unwrap();
    let set: Vec<_> = ids(&full.rows());
    let got = world.get_with(&link, &[TRACK]).await;
    let (kept, gone) = split(&got.rows());
    assert_eq!((kept.len(), gone), (3, set[..2].to_vec()));
    assert!(kept.contains(&set[29]) && kept.contains(&set[5]));
    assert_eq!(got.rows()[3]["reason"], "deleted", "what is gone comes last");
    assert!(got.rows()[3]["@odata.context"].as_str().unwrap().ends_with("#msdyn_copilotevents/$deletedEntity"));
    assert!(got.rows()[0].get("createdon").is_none(), "the selection holds");

    let second = token(&got);
    world.emulator.advance().unwrap();
    let (kept, gone) = split(&world.get(&second).await.rows());
    assert_eq!(kept, [set[2].clone()]);
    assert_eq!(gone, ["f9d841e5-34e7-ee11-904c-000d3a3bb867"]);
    let (kept, gone) = split(&world.get(&link).await.rows());
    assert_eq!((kept.len(), gone.len()), (3, 3), "made and gone between two reads is gone");
    world.emulator.advance().unwrap();
    let (kept, gone) = split(&world.get(&second).await.rows());
    assert!(kept.contains(&gone[0]), "gone and made again is both");
    let served = world.emulator.served();
    assert_eq!((served.deleted, served.tables["msdyn_copilotevent"].deleted), (3, 3));
    assert!(served.requests["tracking"] >= 6 && !served.requests.contains_key("page"));

    world.emulator.advance().unwrap();
    let (status, code, message) = world.get(&second).await.error();
    assert_eq!((status, code.as_str()), (400, "0x80044352"), "the columns changed");
    assert!(message.starts_with("Version stamp associated with the client has expired."));
    assert_eq!(world.get(&format!("{SET}?$select=new_region")).await.status, 200);
}

#[tokio::test]
async fn pages_end_with_the_token_of_their_beginning() {
    let world = World::new(&scenario()).await;
    let prefer = [("prefer", "odata.track-changes, odata.maxpagesize=8")];
    let first = world.get_with(SET, &prefer).await;
    assert!(first.json().get("@odata.deltaLink").is_none());
    let mut next = first.link();
    assert!(next.as_ref().unwrap().contains("istracking=%22True%22"));
    let mut rows = first.rows();
    let mut link = None;
    while let Some(path) = next {
        // A phase in the middle: its changes come with the token.
        if rows.len() == 8 {
            world.emulator.advance().unwrap();
        }
        let got = world.get_with(&path, &prefer).await;
        rows.extend(got.rows());
        next = got.link();
        link = got.json()["@odata.deltaLink"].as_str().map(str::to_owned);
    }
    let small = [("prefer", "odata.track-changes,odata.maxpagesize=2")];
    let mut next = link;
    let mut changed = Vec::new();
    let mut pages = 0;
    let end = loop {
        let got = world.get_with(&next.unwrap(), &small).await;
        changed.extend(got.rows());
        pages += 1;
        match got.link() {
            Some(link) => next = Some(link),
            None => break token(&got),
        }
    };
    let (kept, gone) = split(&changed);
    assert_eq!((pages, kept.len(), gone.len()), (3, 3, 2));
    assert_eq!(world.get_with(&end, &small).await.rows().len(), 0);
}

#[tokio::test]
async fn what_tracking_cannot_do_is_refused() {
    let world =
        World::new(&format!("{}[[fault]]\nat = \"tracking\"\nnumber = 1\nkind = \"expired_delta\"", events(3))).await;
    for option in ["$filter=createdon%20ne%20null", "$orderby=createdon", "$top=1", "$expand=ownerid"] {
        let (status, _, message) = world.get_with(&format!("{SET}?{option}"), &[TRACK]).await.error();
        let name = option.split('=').next().unwrap();
        let wanted = format!("The \"{name}\" query parameter isn't supported when Change Tracking is enabled.");
        assert_eq!((status, message), (400, wanted));
    }
    let (status, code, _) = world.get_with("msdyn_copilottranscripts", &[TRACK]).await.error();
    assert_eq!((status, code.as_str()), (400, "0x80072491"));
    let link = token(&world.get_with(SET, &[TRACK]).await);
    assert_eq!(world.get(&link).await.error().1, "0x80044352");
    assert_eq!(world.get(&link).await.status, 200, "the fault came once");
    let forged = link.replace("deltatoken=9", "deltatoken=x");
    assert_eq!(world.get(&forged).await.status, 400);
    let basic = format!("{}[[privilege]]\ntable = \"msdyn_copilotevent\"\ndepth = \"Basic\"", events(3));
    let world = World::new(&basic).await;
    assert_eq!(world.get_with(SET, &[TRACK]).await.status, 403, "the whole organization must be readable");
}
