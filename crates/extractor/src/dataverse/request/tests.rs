//! Requests to Dataverse, verbatim.

use super::*;
use crate::dataverse::web_api_dialect;
use copilot_lake_tables::{COPILOT_EVENT, Instant, PAYLOAD, SYSTEM_USER};

fn api() -> Url {
    Url::parse("https://contoso.crm.dynamics.com/api/data/v9.2/").unwrap()
}

fn slice(table: &'static Table, time_column: &'static str) -> Slice {
    let at = |text| Instant::parse(text).unwrap();
    let (start, end) = (at("2025-06-22T00:00:00Z"), at("2025-06-29T00:00:00Z"));
    Slice { table, scope: String::new(), time_column, start, end }
}

fn pairs(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[test]
fn a_slice_is_selected_filtered_and_ordered_by_its_clock() {
    let selection = Selection::all(&COPILOT_EVENT);
    let request = slice_request(&api(), &slice(&COPILOT_EVENT, "createdon"), &selection, 1).unwrap();
    assert!(request.fallback_url.is_none(), "no row without a time belongs to a week of this century");
    let url = request.url;
    let pairs = pairs(&url);
    assert_eq!(url.path(), "/api/data/v9.2/msdyn_copilotevents");
    assert_eq!(pairs[0], ("$select".to_owned(), selection.text()));
    let filter = "createdon ge 2025-06-22T00:00:00Z and createdon lt 2025-06-29T00:00:00Z";
    assert_eq!(pairs[1], ("$filter".to_owned(), filter.to_owned()));
    assert_eq!(pairs[2], ("$orderby".to_owned(), "createdon asc".to_owned()));
    assert!(url.as_str().contains("$filter=createdon%20ge%202025-06-22T00%3A00%3A00Z%20and"), "{url}");
    assert_eq!(order(&COPILOT_EVENT, false, "createdon"), "createdon asc,msdyn_copiloteventid asc,partitionid asc");
}

#[test]
fn rows_without_a_time_are_asked_for_with_the_week_that_they_belong_to() {
    let selection = Selection::all(&COPILOT_EVENT);
    let filter = |slice: &Slice| {
        let request = slice_request(&api(), slice, &selection, 1).unwrap();
        let filter = |url: &Url| pairs(url)[1].1.clone();
        (filter(&request.url), request.fallback_url.as_ref().map(filter))
    };
    let oldest = Slice { start: Instant::parse("1753-01-01").unwrap(), ..slice(&COPILOT_EVENT, "createdon") };
    let window = "createdon ge 1753-01-01T00:00:00Z and createdon lt 2025-06-29T00:00:00Z";
    let expected = (format!("({window}) or (createdon eq null)"), Some(window.to_owned()));
    assert_eq!(filter(&oldest), expected);
    let window = "modifiedon ge 2025-06-22T00:00:00Z and modifiedon lt 2025-06-29T00:00:00Z";
    let created = "createdon ge 2025-06-22T00:00:00Z and createdon lt 2025-06-29T00:00:00Z";
    let timeless = format!("modifiedon eq null and (createdon eq null or ({created}))");
    let expected = (format!("({window}) or ({timeless})"), Some(window.to_owned()));
    assert_eq!(filter(&slice(&COPILOT_EVENT, "modifiedon")), expected);
    let request = oldest_request(&api(), &COPILOT_EVENT, "createdon").unwrap();
    assert_eq!(pairs(&request.url)[1], ("$filter".to_owned(), "createdon ne null".to_owned()));
    assert_eq!(pairs(&request.fallback_url.unwrap()).len(), 2);
}

#[test]
fn people_can_be_asked_for_by_a_clock_that_is_no_column() {
    let request = slice_request(&api(), &slice(&SYSTEM_USER, "modifiedon"), &Selection::all(&SYSTEM_USER), 1).unwrap();
    assert!(request.fallback_url.is_none());
    let url = request.url;
    assert_eq!(url.path(), "/api/data/v9.2/systemusers");
    let [(_, select), (_, filter), (_, order)] = &pairs(&url)[..] else { panic!("{url}") };
    let properties =
        "systemuserid,azureactivedirectoryobjectid,_businessunitid_value,isdisabled,fullname,title".to_owned();
    assert_eq!((select, order.as_str()), (&properties, "modifiedon asc,systemuserid asc"));
    assert_eq!(filter, "modifiedon ge 2025-06-22T00:00:00Z and modifiedon lt 2025-06-29T00:00:00Z");
}

#[test]
fn a_users_privileges_are_asked_for_by_a_guid_only() {
    let url = privileges_url(&api(), "f9d841e5-0000-4000-8000-000000000001").unwrap();
    assert!(
        url.path().ends_with("(f9d841e5-0000-4000-8000-000000000001)/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()")
    );
    assert!(matches!(privileges_url(&api(), "1)/x?y"), Err(Error::Usage { .. })));
}

#[test]
fn a_files_address_quotes_texts_and_encodes_everything() {
    let address = |partition: &str| FileAddress {
        table: &COPILOT_EVENT,
        key: vec!["f9d841e5-0000-4000-8000-000000000001".to_owned(), partition.to_owned()],
        column: "msdyn_interactiondata",
        name: None,
    };
    let path = |partition: &str| file_url(&api(), &address(partition)).unwrap().path().to_owned();
    assert_eq!(
        path("20250622-20250628-100230203"),
        "/api/data/v9.2/msdyn_copilotevents(msdyn_copiloteventid=f9d841e5-0000-4000-8000-000000000001,\
         partitionid='20250622-20250628-100230203')/msdyn_interactiondata/$value"
    );
    let odd = path("O'Neil/../x?y#z%20 é");
    assert!(odd.contains("partitionid='O%27%27Neil%2F..%2Fx%3Fy%23z%2520%20%C3%A9')"), "{odd}");
    let mut incomplete = address("p");
    incomplete.key.pop();
    assert!(matches!(file_url(&api(), &incomplete), Err(Error::Usage { .. })));
    let text = FileAddress { column: "msdyn_verbatim", ..address("p") };
    assert!(matches!(file_url(&api(), &text), Err(Error::Usage { .. })));
    let derived = FileAddress { table: &PAYLOAD, ..address("p") };
    assert!(matches!(file_url(&api(), &derived), Err(Error::Usage { .. })));
}

#[test]
fn every_request_carries_the_documented_headers() {
    let selection = Selection::all(&SYSTEM_USER);
    let mut request = first_page(api(), &SYSTEM_USER, 5_000, &selection);
    request.prefer("odata.track-changes");
    let prefer = "odata.maxpagesize=5000,\
                  odata.include-annotations=\"OData.Community.Display.V1.FormattedValue\",odata.track-changes";
    let headers = web_api_dialect::headers(&request);
    for (name, value) in [
        ("accept", "application/json"),
        ("odata-maxversion", "4.0"),
        ("odata-version", "4.0"),
        ("if-none-match", "null"),
        ("prefer", prefer),
    ] {
        assert_eq!(headers[name], value);
    }
    assert!(!web_api_dialect::headers(&Request::json(api())).contains_key("prefer"));
}
