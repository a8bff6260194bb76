//! The Dataverse Web API: routes, queries, pages, files, change tracking, metadata and privileges.
//!
//! Answers from the rows in `data/`; does not know how they are made, and knows nothing about Graph.

pub(crate) mod batch_request;
pub(crate) mod batch_response;
pub(crate) mod dataverse_route;
pub(crate) mod emulated_dataverse;
pub(crate) mod file_request;
pub(crate) mod limits;
pub(crate) mod metadata;
pub(crate) mod page_request;
pub(crate) mod paging_cookie;
pub(crate) mod privilege;
pub(crate) mod row_cursor;
pub(crate) mod row_filter;
pub(crate) mod row_page;
pub(crate) mod row_projection;
pub(crate) mod row_query;
pub(crate) mod total_count;
pub(crate) mod tracked_changes;
