//! Which tables the application may read, and which of their rows.

use super::{World, events};

const SET: &str = "msdyn_copilotevents";

#[tokio::test]
async fn privileges_say_what_is_readable() {
    let world = World::new(
        r#"
        [[table]]
        name = "msdyn_copilotevent"
        rows = 20
        [[table.row]]
        values = { ownerid = "33333333-3333-3333-3333-333333333333", createdon = 2025-10-20T00:00:00Z }
        [[privilege]]
        table = "msdyn_copilotevent"
        depth = "Basic"
        [[privilege]]
        table = "msdyn_copilottranscript"
        depth = "none"
        "#,
    )
    .await;
    let rows = world.get(SET).await.rows();
    assert_eq!(rows.len(), 1, "rows of others are left out without a word");
    assert_eq!(world.emulator.served().tables["msdyn_copilotevent"].rows, 21);
    let (status, code, message) = world.get("msdyn_copilottranscripts").await.error();
    assert_eq!((status, code.as_str()), (403, "0x80040220"));
    assert!(message.contains("is missing prvReadmsdyn_copilottranscript privilege"), "{message}");
    assert!(message.contains("for entity 'msdyn_copilottranscript'"), "{message}");
    let user = world.get("WhoAmI").await.json()["UserId"].as_str().unwrap().to_owned();
    let path = format!("systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()");
    let granted = world.get(&path).await.json()["RolePrivileges"].as_array().unwrap().clone();
    let depth = |name: &str| {
        let found = granted.iter().find(|privilege| privilege["PrivilegeName"] == format!("prvRead{name}"));
        found.map(|privilege| privilege["Depth"].as_str().unwrap().to_owned())
    };
    assert_eq!(depth("msdyn_copilotevent").as_deref(), Some("Basic"));
    assert_eq!(depth("msdyn_copilotinteraction").as_deref(), Some("Global"));
    assert_eq!(depth("msdyn_copilottranscript"), None);
    let other = "systemusers(00000000-0000-0000-0000-000000000001)/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()";
    assert_eq!(world.get(other).await.status, 404);
}

#[tokio::test]
async fn a_fault_names_the_table_that_was_asked() {
    let world = World::new(
        "[[fault]]\nat = \"page\"\nnumber = 1\nkind = \"403_privilege\"\ntable = \"msdyn_conversationinsight\"",
    )
    .await;
    let (_, _, message) = world.get("msdyn_conversationinsights").await.error();
    assert!(message.contains("prvReadmsdyn_conversationinsight "), "{message}");
}

#[tokio::test]
async fn secured_columns_keep_their_files() {
    let scenario = format!("{}secured = [\"msdyn_interactiondata\"]", events(30));
    let world = World::new(&scenario).await;
    let rows = world.get(SET).await.rows();
    let row = rows.iter().find(|row| row["msdyn_interactiondata"].is_string()).unwrap();
    let (id, partition) = (row["msdyn_copiloteventid"].as_str().unwrap(), row["partitionid"].as_str().unwrap());
    let path = format!("{SET}(msdyn_copiloteventid={id},partitionid='{partition}')/msdyn_interactiondata/$value");
    let (status, code, message) = world.get(&path).await.error();
    assert_eq!((status, code.as_str()), (403, "0x8004F504"));
    assert!(message.contains("read permissions to a secured field"));
}

#[tokio::test]
async fn execution_time_is_limited_too() {
    let limits = "[service]\nlimits = { execution = 2, ms_per_request = 700 }";
    let world = World::new(limits).await;
    for status in [200, 200, 200, 429] {
        assert_eq!(world.get("WhoAmI").await.status, status);
    }
    let (_, code, message) = world.get("WhoAmI").await.error();
    assert_eq!(code, "0x80072321");
    assert!(message.starts_with("Combined execution time of incoming requests exceeded limit of 2,000 milliseconds"));
    // Its answer is what the service does about it: nothing was passed that needed none.
    assert_eq!(world.emulator.served().limits_passed, 0);
}
