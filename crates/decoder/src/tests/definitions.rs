//! Derived from a definition: annotations that are columns, labels, tables without weeks.

use copilot_lake_tables::{CONVERSATION_INSIGHT, Instant, Labels, SYSTEM_USER, Table, Week};

use super::{ID, decode, row, text};
use crate::{Decoded, decode_page};

const TARGET: &str = "_msdyn_conversationinsighttarget_value";

fn decode_as(table: &'static Table, rows: &str, labels: &Labels) -> Decoded {
    decode_page(table, rows.as_bytes(), Instant(7), labels).unwrap()
}

#[test]
fn an_annotation_that_is_a_column_is_read() {
    let members = format!(
        r#""@odata.etag":"e","msdyn_conversationinsightid":"{ID}","{TARGET}@Microsoft.Dynamics.CRM.associatednavigationproperty":"n",
        "{TARGET}@Microsoft.Dynamics.CRM.lookuplogicalname":"phonecall","{TARGET}":"{ID}""#
    );
    let fast = decode_as(&CONVERSATION_INSIGHT, &format!("[{{{members}}}]"), &Labels::default());
    let slow =
        decode_as(&CONVERSATION_INSIGHT, &format!(r#"[{{{members},"importsequencenumber":1.0}}]"#), &Labels::default());
    for decoded in [fast, slow] {
        assert!(decoded.rejects.is_empty());
        let batch = &decoded.batches[0].1;
        assert_eq!(text(batch, "msdyn_conversationinsighttarget_table", 0), Some("phonecall"));
        assert_eq!(text(batch, "msdyn_conversationinsighttarget", 0), Some(ID));
        assert_eq!(text(batch, "extra_json", 0), None, "other annotations stay out");
    }
}

#[test]
fn a_table_without_weeks_is_one_batch() {
    let rows = format!(
        r#"[{{"@odata.etag":"e","systemuserid":"{0}","azureactivedirectoryobjectid":"{0}","isdisabled":false,"fullname":"A B",
        "_businessunitid_value@OData.Community.Display.V1.FormattedValue":"Sales","_businessunitid_value":"{1}","ownerid":"x"}},
        {{"systemuserid":"{1}","title":null}}]"#,
        ID.to_uppercase(),
        ID.replace("c49d", "d49d"),
    );
    let decoded = decode_as(&SYSTEM_USER, &rows, &Labels::default());
    assert_eq!((decoded.rows, decoded.rejects.len(), decoded.batches.len()), (2, 0, 1));
    let (week, batch) = &decoded.batches[0];
    assert_eq!((*week, batch.num_rows()), (Week::UNKNOWN, 2));
    assert_eq!(batch.schema(), *SYSTEM_USER.layout().schema());
    assert_eq!(text(batch, "systemuserid", 0), Some(ID));
    assert_eq!(text(batch, "entra_object_id", 0), Some(ID));
    assert_eq!(text(batch, "business_unit", 0), Some("Sales"));
    assert_eq!(text(batch, "full_name", 0), Some("A B"));
    assert_eq!(text(batch, "extra_json", 0), Some(r#"{"ownerid":"x"}"#));
    assert_eq!(decode_as(&SYSTEM_USER, "[]", &Labels::default()).batches.len(), 0);
}

#[test]
fn labels_come_from_the_catalogue_then_from_the_service() {
    let mut labels = Labels::default();
    labels.insert("msdyn_scenariotype", 100_230_201, "another name");
    labels.insert("msdyn_scenariotype", 7, "Seven");
    labels.insert("msdyn_interactiontype", 8, "of another column");
    let label = |code: i32| {
        let rows = format!("[{}]", row(&format!(r#","msdyn_scenariotype":{code}"#)));
        let decoded = decode_as(&copilot_lake_tables::COPILOT_EVENT, &rows, &labels);
        let label = text(&decoded.batches[0].1, "msdyn_scenariotype_label", 0).map(str::to_owned);
        (label, decoded.unlabelled)
    };
    assert_eq!(label(100_230_201), (Some("Ask a question".to_owned()), false));
    assert_eq!(label(7), (Some("Seven".to_owned()), false));
    assert_eq!(label(8), (None, true), "unknown codes are data");
    assert!(!decode(&format!("[{}]", row(""))).unlabelled, "no code needs no label");
    assert!(decode(&format!("[{}]", row(r#","msdyn_scenariotype":7"#))).unlabelled);
}
