//! What the environment has: metadata, labels, row counts, privileges, first rows.

use super::*;
use crate::{AnyFile, PrivilegeDepth};
use copilot_lake_tables::{CONVERSATION_INSIGHT, COPILOT_INTERACTION, SYSTEM_USER, Table};

const USER: &str = "f9d841e5-0000-4000-8000-000000000009";

fn query(target: &str) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://h.example{target}")).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The metadata of the event table with its key and these attributes.
fn events(attributes: &str) -> Reply {
    let key = r#"{"LogicalName":"msdyn_copiloteventid","AttributeType":"Uniqueidentifier"},
        {"LogicalName":"partitionid","AttributeType":"String"}"#;
    Reply::ok(format!(
        r#"{{"@odata.context":"c","value":[{{"LogicalName":"msdyn_copilotevent","ChangeTrackingEnabled":true,
            "MetadataId":"m","Attributes":[{key}{attributes}]}}]}}"#
    ))
}

#[tokio::test]
async fn a_table_with_very_many_columns_is_read_as_far_as_a_url_can_name_them() {
    let server = Server::start(|request| match request.number {
        1 => {
            let attribute = |n| format!(r#",{{"LogicalName":"zz_{n:06}","AttributeType":"String"}}"#);
            events(&(0..120_000).map(attribute).collect::<String>())
        }
        _ => page(&request, "[]", None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let environment = service.environment(&[&COPILOT_EVENT]).await.unwrap();
    let presence = environment.table("msdyn_copilotevent").unwrap();
    assert_eq!((presence.unknown.len(), presence.unknown[0].as_str()), (3_276, "zz_000000"));
    let pages: Vec<_> = service.pages(&slice(), &presence.selection).collect().await;
    assert_eq!((pages.len(), pages[0].is_ok(), server.asked().len()), (1, true, 2));
}

#[tokio::test]
async fn the_metadata_of_all_tables_is_one_request() {
    let server = Server::start(|_| {
        events(
            r##",{"LogicalName":"createdon","AttributeType":"DateTime","IsValidForRead":true,"AttributeOf":null},
            {"@odata.type":"#Microsoft.Dynamics.CRM.FileAttributeMetadata","LogicalName":"msdyn_interactiondata",
             "AttributeType":"Virtual","IsSecured":true},
            {"LogicalName":"zz_note","AttributeType":"Memo"}"##,
        )
    })
    .await;
    let service = dataverse(server.url.clone());
    let environment = service.environment(&[&COPILOT_EVENT, &CONVERSATION_INSIGHT]).await.unwrap();
    assert!(!environment.is_assumed() && environment.table("msdyn_conversationinsight").is_none());
    let presence = environment.table("msdyn_copilotevent").unwrap();
    let text = "msdyn_copiloteventid,partitionid,createdon,msdyn_interactiondata,msdyn_interactiondata_name,zz_note";
    assert_eq!(presence.selection.text(), text);
    assert_eq!(presence.lacks.len(), COPILOT_EVENT.columns.len() - 5);
    assert!(presence.tracks_changes && presence.secured == ["msdyn_interactiondata"]);

    let [asked] = &server.asked()[..] else { panic!() };
    assert!(asked.target.starts_with("/api/data/v9.2/EntityDefinitions?$select="), "{}", asked.target);
    let expected = [
        ("$select", "LogicalName,ChangeTrackingEnabled"),
        ("$filter", "LogicalName eq 'msdyn_copilotevent' or LogicalName eq 'msdyn_conversationinsight'"),
        (
            "$expand",
            "Attributes($select=LogicalName,AttributeType,AttributeOf,IsValidForRead,IsValidODataAttribute,IsSecured)",
        ),
    ];
    assert_eq!(query(&asked.target), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(asked.header("prefer"), None);

    let pages: Vec<_> = service.pages(&slice(), &presence.selection).collect().await;
    assert_eq!(pages.len(), 1);
    let select = query(&server.asked()[1].target)[0].1.clone();
    assert_eq!(select, text, "only what the metadata lists is asked for");
}

#[tokio::test]
async fn without_metadata_the_definitions_are_assumed() {
    let refusals: [fn() -> Reply; 4] = [
        || refusal(403, "0x80040220", "is missing prvReadEntity privilege"),
        || refusal(400, "0x80060888", "Could not find a property named 'IsSecured' on type 'x'."),
        || refusal(404, "0x80060888", "Resource not found for the segment 'EntityDefinitions'."),
        || Reply::ok(r#"{"value":[{"LogicalName":"msdyn_copilotevent","Attributes":[]}]}"#),
    ];
    for refused in refusals {
        let server = Server::start(move |_| refused()).await;
        let environment = dataverse(server.url.clone()).environment(&[&COPILOT_EVENT, &SYSTEM_USER]).await.unwrap();
        assert!(environment.is_assumed());
        assert_eq!(environment.table("msdyn_copilotevent").unwrap().selection, Selection::all(&COPILOT_EVENT));
        assert_eq!(environment.table("systemuser").unwrap().lacks, [""; 0]);
        assert_eq!(server.asked().len(), 1);
    }
    let server = Server::start(|_| refusal(503, "", "")).await;
    let error = dataverse(server.url.clone()).environment(&[&COPILOT_EVENT]).await.unwrap_err();
    assert!(matches!(error, Error::RetriesExhausted { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn labels_are_asked_for_by_the_casts_that_a_table_needs() {
    let server = Server::start(|request| {
        let column = match &request.target {
            target if target.contains("StateAttribute") => "statecode",
            target if target.contains("StatusAttribute") => "statuscode",
            _ => "msdyn_scenariotype",
        };
        Reply::ok(format!(
            r#"{{"value":[{{"LogicalName":"{column}","OptionSet":{{"Options":[{{"Value":7,"Label":{{
                "LocalizedLabels":[{{"Label":"of {column}","LanguageCode":1033}}]}}}}]}}}}]}}"#
        ))
    })
    .await;
    let service = dataverse(server.url.clone());
    let labels = service.labels(&COPILOT_INTERACTION).await.unwrap();
    let found: Vec<_> = labels.iter().map(|(column, code, label)| format!("{column} {code} {label}")).collect();
    assert_eq!(
        found,
        ["msdyn_scenariotype 7 of msdyn_scenariotype", "statecode 7 of statecode", "statuscode 7 of statuscode"]
    );
    assert_eq!(
        server.asked()[0].target,
        "/api/data/v9.2/EntityDefinitions(LogicalName='msdyn_copilotinteraction')/Attributes/\
         Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet"
    );
    assert!(server.asked()[1].target.ends_with("StateAttributeMetadata?$select=LogicalName&$expand=OptionSet"));
    service.labels(&COPILOT_EVENT).await.unwrap();
    assert_eq!(server.asked().len(), 4, "an event has no state");
    service.labels(&SYSTEM_USER).await.unwrap();
    assert_eq!(server.asked().len(), 4, "people have no choices");
}

#[tokio::test]
async fn totals_are_asked_for_together_and_if_need_be_alone() {
    fn totals(pairs: &[(&str, u64)]) -> Reply {
        let keys: Vec<_> = pairs.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let values: Vec<_> = pairs.iter().map(|(_, total)| total.to_string()).collect();
        let count = pairs.len();
        Reply::ok(format!(
            r#"{{"@odata.context":"c","EntityRecordCountCollection":{{"Count":{count},"IsReadOnly":false,
                "Keys":[{}],"Values":[{}]}}}}"#,
            keys.join(","),
            values.join(",")
        ))
    }
    let tables: [&'static Table; 2] = [&COPILOT_EVENT, &SYSTEM_USER];
    let server = Server::start(|_| totals(&[("systemuser", 5), ("msdyn_copilotevent", 9_000_000_000), ("x", 1)])).await;
    let found = dataverse(server.url.clone()).total_rows(&tables).await.unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("msdyn_copilotevent", 9_000_000_000), ("systemuser", 5)]);
    let asked = &server.asked()[0].target;
    assert!(asked.starts_with("/api/data/v9.2/RetrieveTotalRecordCount(EntityNames=@p1)?@p1="), "{asked}");
    assert_eq!(query(asked)[0].1, r#"["msdyn_copilotevent","systemuser"]"#);

    let server = Server::start(|request| match query(&request.target)[0].1.as_str() {
        r#"["systemuser"]"# => totals(&[("systemuser", 5)]),
        _ => refusal(400, "0x80040203", "one name is bad"),
    })
    .await;
    let service = dataverse(server.url.clone());
    assert_eq!(service.total_rows(&tables).await.unwrap().into_iter().collect::<Vec<_>>(), [("systemuser", 5)]);
    assert_eq!(server.asked().len(), 3);
    assert!(service.total_rows(&tables[..1]).await.unwrap().is_empty());
    assert_eq!(server.asked().len(), 4, "one alone is not asked for twice");
}

#[tokio::test]
async fn the_widest_depth_of_a_privilege_counts() {
    let server = Server::start(|_| {
        let privilege = |name: &str, depth: &str| {
            format!(r#"{{"Depth":{depth},"PrivilegeId":"p","PrivilegeName":{name},"BusinessUnitId":"b"}}"#)
        };
        let privileges = [
            privilege("\"prvReadA\"", "\"Basic\""),
            privilege("\"prvReadA\"", "\"Deep\""),
            privilege("\"prvReadA\"", "\"Local\""),
            privilege("\"prvReadB\"", "\"Global\""),
            privilege("\"prvReadC\"", "\"RecordFilter\""),
            privilege("\"prvReadC\"", "3"),
            privilege("null", "\"Global\""),
        ];
        Reply::ok(format!(r#"{{"@odata.context":"c","RolePrivileges":[{}]}}"#, privileges.join(",")))
    })
    .await;
    let service = dataverse(server.url.clone());
    let depths = service.read_depths(USER).await.unwrap();
    let depths: Vec<_> = depths.iter().map(|(name, depth)| (name.as_str(), *depth)).collect();
    assert_eq!(depths, [("prvreada", PrivilegeDepth::Deep), ("prvreadb", PrivilegeDepth::Global)]);
    assert!(
        PrivilegeDepth::Basic < PrivilegeDepth::Local
            && PrivilegeDepth::Local < PrivilegeDepth::Deep
            && PrivilegeDepth::Deep < PrivilegeDepth::Global
    );
    let target = format!("/api/data/v9.2/systemusers({USER})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()");
    assert_eq!(server.asked()[0].target, target);
    assert!(matches!(service.read_depths("me").await, Err(Error::Usage { .. })));
}

#[tokio::test]
async fn the_first_row_is_found_behind_empty_pages() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, "[]", Some("/2")),
        2 => page(&request, r#"[{"a":1}]"#, Some("/3")),
        _ => page(&request, "[]", None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let found = service.first_row(&CONVERSATION_INSIGHT, &Selection::all(&CONVERSATION_INSIGHT)).await.unwrap();
    assert_eq!(found.unwrap().rows(), br#"[{"a":1}]"#);
    let asked = server.asked();
    assert!(!asked[0].target.contains('@') && !asked[0].target.contains("filter"), "{}", asked[0].target);
    let prefer = "odata.maxpagesize=1,odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\"";
    assert!(asked.iter().all(|request| request.header("prefer") == Some(prefer)) && asked.len() == 2);
    assert!(service.first_row(&COPILOT_EVENT, &Selection::key_columns(&COPILOT_EVENT)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_row_with_a_file_is_found_by_filter_or_by_looking() {
    const ROW: &str = r#"{"msdyn_copiloteventid":"F9D841E5-0000-4000-8000-000000000001","partitionid":"p'1","msdyn_interactiondata":"x"}"#;
    let server = Server::start(|request| page(&request, &format!("[{ROW}]"), None)).await;
    let found = dataverse(server.url.clone()).any_file(&COPILOT_EVENT, "msdyn_interactiondata").await.unwrap();
    let AnyFile::At(found) = found else { panic!("{found:?}") };
    assert_eq!(found.key, ["f9d841e5-0000-4000-8000-000000000001", "p'1"]);
    let asked = &server.asked()[0];
    let expected = [
        ("$select", "msdyn_copiloteventid,partitionid,msdyn_interactiondata"),
        ("$filter", "msdyn_interactiondata ne null"),
    ];
    assert_eq!(query(&asked.target), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(asked.header("prefer"), Some("odata.maxpagesize=1"));

    let server = Server::start(|request| match request.number {
        1 => refusal(400, "0x80040203", "no such filter"),
        _ => page(&request, &format!(r#"[{{"msdyn_interactiondata":null}},{ROW}]"#), Some("/more")),
    })
    .await;
    let service = dataverse(server.url.clone());
    let found = service.any_file(&COPILOT_EVENT, "msdyn_interactiondata").await.unwrap();
    let AnyFile::At(found) = found else { panic!("{found:?}") };
    assert_eq!(found.key[1], "p'1");
    assert_eq!(query(&server.asked()[1].target).len(), 1);
    assert_eq!(server.asked()[1].header("prefer"), Some("odata.maxpagesize=3"));
    assert!(matches!(service.any_file(&COPILOT_EVENT, "msdyn_verbatim").await, Err(Error::Usage { .. })));

    let server = Server::start(|_| refusal(403, "0x8004f504", "")).await;
    let error = dataverse(server.url.clone()).any_file(&COPILOT_EVENT, "msdyn_interactiondata").await.unwrap_err();
    assert!(matches!(error, Error::ColumnSecured { column: "msdyn_interactiondata", .. }), "{error}");
}

#[tokio::test]
async fn a_code_without_an_english_label_gets_the_base_languages_which_is_asked_for_once() {
    let server = Server::start(|request| {
        if request.target.contains("/organizations?") {
            return Reply::ok(r#"{"value":[{"languagecode":1031}]}"#);
        }
        let label = |text: &str, code| format!(r#"{{"Label":"{text}","LanguageCode":{code}}}"#);
        let texts = [label("eins", 1031), label("un", 1036)].join(",");
        let option = format!(r#"{{"Value":7,"Label":{{"LocalizedLabels":[{texts}]}}}}"#);
        let column = "msdyn_scenariotype";
        Reply::ok(format!(r#"{{"value":[{{"LogicalName":"{column}","OptionSet":{{"Options":[{option}]}}}}]}}"#))
    })
    .await;
    let service = dataverse(server.url.clone());
    for table in [&COPILOT_EVENT, &COPILOT_INTERACTION] {
        let labels = service.labels(table).await.unwrap();
        assert_eq!(labels.label("msdyn_scenariotype", 7), Some("eins"));
    }
    let asked = server.asked().iter().filter(|asked| asked.target.contains("organizations")).count();
    assert_eq!(asked, 1);
    assert_eq!(server.asked()[1].target, "/api/data/v9.2/organizations?$select=languagecode");
}

#[tokio::test]
async fn without_the_base_language_labels_are_in_english() {
    let server = Server::start(|request| match request.target.contains("/organizations?") {
        true => refusal(403, "0x80040220", "is missing prvReadOrganization privilege"),
        false => Reply::ok(
            r#"{"value":[{"LogicalName":"msdyn_scenariotype","OptionSet":{"Options":[
                {"Value":7,"Label":{"LocalizedLabels":[{"Label":"eins","LanguageCode":1031}]}},
                {"Value":8,"Label":{"LocalizedLabels":[{"Label":"eight","LanguageCode":1033}]}}]}}]}"#,
        ),
    })
    .await;
    let labels = dataverse(server.url.clone()).labels(&COPILOT_EVENT).await.unwrap();
    assert_eq!((labels.label("msdyn_scenariotype", 7), labels.label("msdyn_scenariotype", 8)), (None, Some("eight")));
}

#[tokio::test]
async fn an_answer_with_a_byte_order_mark_is_read_everywhere() {
    let marked = |text: &str| Reply::ok(format!("\u{feff}{text}"));
    let server = Server::start_with(
        move |request: Request| {
            std::future::ready(match request.target.as_str() {
                target if target.contains("WhoAmI") => {
                    marked(&format!(r#"{{"UserId":"{USER}","OrganizationId":"{ORGANIZATION}"}}"#))
                }
                target if target.contains("EntityDefinitions?") => marked(
                    r#"{"value":[{"LogicalName":"msdyn_copilotevent","Attributes":[
                        {"LogicalName":"msdyn_copiloteventid"},{"LogicalName":"partitionid"}]}]}"#,
                ),
                target if target.contains("RetrieveTotalRecordCount") => {
                    marked(r#"{"EntityRecordCountCollection":{"Keys":["msdyn_copilotevent"],"Values":[3]}}"#)
                }
                target if target.contains("/Attributes/") => marked(
                    r#"{"value":[{"LogicalName":"msdyn_scenariotype","OptionSet":{"Options":[{"Value":7,"Label":{
                        "LocalizedLabels":[{"Label":"seven","LanguageCode":1033}]}}]}}]}"#,
                ),
                target if target.ends_with("$value") => {
                    let error = r#"{"error":{"code":"0x80040217","message":"No file attachment found"}}"#;
                    Reply::new(404, format!("\u{feff}{error}"))
                }
                _ => marked(r#"{"value":[{"@odata.etag":"1","createdon":"2025-06-22T10:00:00Z"}]}"#),
            })
        },
        |_| Reply::ok("\u{feff}{\"access_token\":\"t\",\"expires_in\":3600}"),
    )
    .await;
    let service = dataverse(server.url.clone());
    assert_eq!(service.who_am_i().await.unwrap().user_id, USER);
    let environment = service.environment(&[&COPILOT_EVENT]).await.unwrap();
    assert!(!environment.is_assumed());
    assert_eq!(service.total_rows(&[&COPILOT_EVENT]).await.unwrap()["msdyn_copilotevent"], 3);
    let labels = service.labels(&COPILOT_EVENT).await.unwrap();
    assert_eq!(labels.label("msdyn_scenariotype", 7), Some("seven"));
    assert!(service.oldest(&COPILOT_EVENT, "createdon").await.unwrap().is_some());
    assert_eq!(walk(&service).await.len(), 1);
    let key = vec![USER.to_owned(), "p".to_owned()];
    let address = crate::FileAddress { table: &COPILOT_EVENT, key, column: "msdyn_interactiondata", name: None };
    let error = service.file(&address).await.unwrap_err();
    let Error::FileMissing { reason, .. } = &error else { panic!("{error}") };
    assert_eq!(*reason, "the service has no file for this column of the row");
}
