//! Handles requests to the Web API: admits them, then answers by route.

use std::collections::BTreeMap;

use copilot_lake_tables::Week;
use hyper::Method;
use serde_json::json;

use crate::data::row_snapshot::RowSnapshot;
use crate::data::table_store::TableStore;
use crate::dataverse::batch_request::{BatchPart, BatchRequest};
use crate::dataverse::batch_response::BatchResponse;
use crate::dataverse::dataverse_route::{DataverseRoute, FileForm};
use crate::dataverse::file_request::FileRequest;
use crate::dataverse::limits::{Limiter, TOO_MANY_AT_ONCE};
use crate::dataverse::metadata::choices::choices;
use crate::dataverse::metadata::definitions::definitions;
use crate::dataverse::page_request::PageRequest;
use crate::dataverse::privilege::{missing_privilege, privileges};
use crate::dataverse::row_page::page;
use crate::dataverse::total_count::total_count;
use crate::http::api_request::ApiRequest;
use crate::http::response::{HttpResponse, ServiceError};
use crate::http::token_issuer::challenge;
use crate::identity::{ORGANIZATION_ID, UNIT_ID, USERS};
use crate::scenario::fault_spec::FaultKind;
use crate::scenario::service_settings::{ApplicationSpec, ServiceSettings};
use crate::scenario::specs::ReadDepth;
use crate::served::TableServed;

/// A Dataverse environment.
#[derive(Debug)]
pub(crate) struct EmulatedDataverse {
    pub(crate) stores: Vec<TableStore>,
    settings: ServiceSettings,
    limiter: Limiter,
    /// The applications for which there is no user.
    strangers: Vec<usize>,
}

/// A request as it was received.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReceivedRequest<'a> {
    Single(&'a DataverseRoute),
    /// An error: the body is no batch.
    Batch(&'a Result<BatchRequest<'a>, ServiceError>),
}

impl EmulatedDataverse {
    pub(crate) fn new(stores: Vec<TableStore>, settings: ServiceSettings, applications: &[ApplicationSpec]) -> Self {
        let limiter = Limiter::new(settings.limits.clone());
        let strangers = applications.iter().filter(|spec| !spec.member).map(|spec| spec.number - 1).collect();
        Self { stores, settings, limiter, strangers }
    }

    /// Answers a request; also returns the number of rows.
    pub(crate) fn answer(&self, received: ReceivedRequest<'_>, call: &ApiRequest<'_>) -> (HttpResponse, usize) {
        self.admitted(received, call).unwrap_or_else(|error| match error.status {
            401 => (challenge(&call.origin), 0),
            _ => (error.into_response(), 0),
        })
    }

    fn admitted(
        &self,
        received: ReceivedRequest<'_>,
        call: &ApiRequest<'_>,
    ) -> Result<(HttpResponse, usize), ServiceError> {
        let (route, executions) = match received {
            ReceivedRequest::Single(route) => (route, 1),
            ReceivedRequest::Batch(batch) => {
                (&DataverseRoute::Batch, batch.as_ref().map_or(1, |batch| batch.parts.len() as u64))
            }
        };
        let recorder = &call.shared.recorder;
        let limit = || {
            if call.application.is_some_and(|application| self.strangers.contains(&application)) {
                return self.error_of_fault(FaultKind::NoMember, None).map_or(Ok(()), Err);
            }
            let checked = self.limiter.check(call.application.unwrap_or_default(), call.in_flight, executions);
            checked.inspect_err(|error| {
                // A client learns of the other limits from these responses; this one it can keep unprompted.
                if error.code == TOO_MANY_AT_ONCE {
                    recorder.count(|served, _| served.limits_passed += 1);
                }
            })
        };
        if let Some(page) = call.admit(limit, |fault| self.error_of_fault(fault, route.table()))? {
            return Ok((page, 0));
        }
        if let ReceivedRequest::Batch(batch) = received {
            return self.batch(batch.as_ref().map_err(Clone::clone)?, call);
        }
        self.read(route, call)
    }

    /// Answers a request that was admitted.
    fn read(&self, route: &DataverseRoute, call: &ApiRequest<'_>) -> Result<(HttpResponse, usize), ServiceError> {
        if call.method != Method::GET {
            return Err(ServiceError::new(405, "0x80060888", "The emulator's tables can be read only."));
        }
        self.routed(route, call).inspect_err(|error| {
            if error.unlisted {
                call.shared.recorder.count(|served, _| served.columns_unlisted += 1);
            }
        })
    }

    /// Answers the requests of a batch one after the other, until one fails unless the client prefers otherwise.
    fn batch(&self, batch: &BatchRequest<'_>, call: &ApiRequest<'_>) -> Result<(HttpResponse, usize), ServiceError> {
        if let Some(status) = self.settings.refuse_batches {
            return Err(ServiceError::new(status, "", "The environment takes no batches."));
        }
        if call.method != Method::POST {
            return Err(ServiceError::new(405, "", "A batch is sent with POST."));
        }
        let mut response = BatchResponse::new(call.shared.recorder.nanos());
        let (mut status, mut rows) = (200, 0);
        for part in &batch.parts {
            call.shared.recorder.count(|served, _| served.batch_parts += 1);
            if part.faults.has(FaultKind::Reset) {
                continue;
            }
            let (answer, rows_of_part) = self.part(part, call);
            rows += rows_of_part;
            let failed = (answer.status >= 400).then_some(answer.status);
            response.push(answer);
            if let Some(failed) = failed.filter(|_| !call.preferences.continue_on_error) {
                status = failed;
                break;
            }
        }
        let mut response = response.finish(status);
        if call.preferences.continue_on_error {
            response.header("preference-applied", "odata.continue-on-error");
        }
        Ok((response, rows))
    }

    /// Answers a request of a batch.
    fn part(&self, part: &BatchPart<'_>, call: &ApiRequest<'_>) -> (HttpResponse, usize) {
        let call = ApiRequest {
            method: &part.method,
            origin: call.origin.clone(),
            path: &part.path,
            query: &part.query,
            range: None,
            preferences: part.preferences.clone(),
            faults: part.faults.clone(),
            ..*call
        };
        let error = call.faults.error(|fault| self.error_of_fault(fault, part.route.table()));
        let answered = match (error, call.faults.not_json(), &part.route) {
            (Some(error), _, _) => Err(error),
            (None, Some(page), _) => Ok((page, 0)),
            (None, None, DataverseRoute::File { form: FileForm::Bytes, .. }) => {
                Err(ServiceError::unsupported("the bytes of a File in a batch"))
            }
            (None, None, route) => self.read(route, &call),
        };
        let (mut answer, rows) = answered.unwrap_or_else(|error| (error.into_response(), 0));
        if call.faults.has(FaultKind::CutBody) || call.faults.has(FaultKind::CutChunked) {
            for frame in &mut answer.frames {
                frame.truncate(frame.len() / 2);
            }
        }
        (answer, rows)
    }

    fn routed(&self, route: &DataverseRoute, call: &ApiRequest<'_>) -> Result<(HttpResponse, usize), ServiceError> {
        let (stores, query, settings) = (&self.stores, call.query, &self.settings);
        let root = format!("{}/api/data/v9.2/", call.origin);
        let answer = match route {
            DataverseRoute::Page(table) => {
                let store = self.store(table)?;
                return page(&PageRequest {
                    store,
                    view: &store.view(),
                    root: &root,
                    query,
                    preferences: &call.preferences,
                    faults: &call.faults,
                    settings,
                    now: call.shared.clock.now(),
                });
            }
            DataverseRoute::File { table, key, column, form } => {
                let (store, now) = (self.store(table)?, call.shared.clock.now());
                let (range, ranges, root) = (call.range, settings.ranges, &root);
                let request = FileRequest { store, key, column, form, root, range, ranges, now };
                request.answer().inspect(|_| call.shared.recorder.count(|served, _| served.payloads += 1))
            }
            DataverseRoute::Definitions => definitions(stores, query, &root),
            DataverseRoute::Choices { table, kind } => choices(stores, table, kind, query, &root, settings.language),
            DataverseRoute::TotalCount => total_count(stores, query, &root, settings.elastic_count),
            DataverseRoute::Privileges(user) => privileges(stores, user, &root),
            DataverseRoute::WhoAmI => Ok(who_am_i(&root, call.application)),
            DataverseRoute::Organizations => Ok(organizations(&root, settings.base_language)),
            DataverseRoute::Batch => Err(ServiceError::unsupported("a batch without requests")),
            DataverseRoute::Missing(name) => Err(ServiceError::no_segment(name)),
            DataverseRoute::Elsewhere => {
                Err(ServiceError::new(404, "", &format!("No HTTP resource was found at {}.", call.origin)))
            }
            DataverseRoute::Unsupported(path) => Err(ServiceError::unsupported(&format!("the path '{path}'"))),
        };
        answer.map(|answer| (answer, 0))
    }

    /// A table that exists and may be read.
    fn store(&self, name: &str) -> Result<&TableStore, ServiceError> {
        let store = self.stores.iter().find(|store| store.table.name == name);
        let store = store.ok_or_else(|| ServiceError::no_segment(name))?;
        match (store.absent, store.depth) {
            (true, _) => Err(ServiceError::no_segment(store.entity_set)),
            (false, ReadDepth::None) => Err(missing_privilege(name, store.type_code())),
            (false, ReadDepth::Basic | ReadDepth::Global) => Ok(store),
        }
    }

    /// The error response of a fault, where it has one.
    pub(crate) fn error_of_fault(&self, fault: FaultKind, table: Option<&str>) -> Option<ServiceError> {
        let (status, code, message) = match fault {
            FaultKind::BadRequest => (400, "", ""),
            FaultKind::Unauthorized => (401, "", ""),
            FaultKind::NoPrivilege => {
                // Requests about no table fail for the first table's privilege.
                let store = self.stores.iter().find(|store| table.is_none_or(|name| store.table.name == name))?;
                return Some(missing_privilege(store.table.name, store.type_code()));
            }
            FaultKind::NoMember => (403, "0x80072560", "The user is not a member of the organization."),
            FaultKind::Timeout => (408, "0x80044151", "SQL timeout expired."),
            FaultKind::TooManyRequests => {
                (429, "0x80072322", "Number of requests exceeded the limit of 6000 over time window of 300 seconds.")
            }
            FaultKind::Internal => (500, "0x80040216", "An unexpected error occurred."),
            FaultKind::Unavailable => (503, "", "The service is unavailable."),
            _ => return None,
        };
        Some(ServiceError::new(status, code, message))
    }

    /// What each table has now, and how much of it was sent.
    pub(crate) fn served(&self) -> BTreeMap<&'static str, TableServed> {
        let served =
            |store: &TableStore| TableServed { deleted: store.changes().deleted, ..table_served(&store.rows()) };
        self.stores.iter().map(|store| (store.table.name, served(store))).collect()
    }
}

fn table_served(rows: &RowSnapshot) -> TableServed {
    let mut weeks: BTreeMap<Week, (u64, u64)> = BTreeMap::new();
    let mut served = TableServed::default();
    for same in rows.keys().chunk_by(|a, b| a.0 == b.0) {
        let rows_of_key = || same.iter().map(|(_, at)| *at as usize);
        let Some(newest) = rows_of_key().max_by_key(|at| rows.modified(*at)) else { continue };
        let sent = rows_of_key().any(|at| rows.is_served(at));
        served.rows += 1;
        served.rows_served += u64::from(sent);
        served.files += u64::from(rows.index(newest).files);
        let week = weeks.entry(rows.index(newest).week).or_default();
        *week = (week.0 + 1, week.1 + u64::from(sent));
    }
    for (week, (rows, sent)) in weeks {
        served.weeks.insert(week.to_string(), rows);
        if sent > 0 {
            served.weeks_served.insert(week.to_string(), sent);
        }
    }
    served
}

/// The organization, with the properties that are requested.
fn organizations(root: &str, language: i32) -> HttpResponse {
    let body = json!({
        "@odata.context": format!("{root}$metadata#organizations(languagecode)"),
        "value": [{ "languagecode": language, "organizationid": ORGANIZATION_ID }],
    });
    HttpResponse::json(200, body.to_string())
}

fn who_am_i(root: &str, application: Option<usize>) -> HttpResponse {
    let body = json!({
        "@odata.context": format!("{root}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse"),
        "BusinessUnitId": UNIT_ID,
        "UserId": USERS[application.unwrap_or_default()],
        "OrganizationId": ORGANIZATION_ID,
    });
    HttpResponse::json(200, body.to_string())
}
