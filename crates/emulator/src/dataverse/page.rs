//! Pages: a frame before the rows, the rows, and a frame with the link behind them.

use bytes::Bytes;
use copilot_lake_tables::Instant;

use crate::data::table_rows::Rows;
use crate::data::table_store::Store;
use crate::dataverse::next_link::{Followed, extend, split};
use crate::dataverse::projection::Shape;
use crate::dataverse::query::{Preferences, Query, View};
use crate::dataverse::row_cursor::Walk;
use crate::http::due_faults::Due;
use crate::http::response::{Answer, Refusal};
use crate::scenario::fault::FaultKind;
use crate::scenario::settings::ServiceSettings;

/// A request for rows of a table.
pub(crate) struct PageRequest<'a> {
    pub(crate) store: &'a Store,
    pub(crate) view: &'a View,
    /// `http://host:port/api/data/v9.2/`.
    pub(crate) root: &'a str,
    /// The query string as it was sent.
    pub(crate) query: &'a str,
    pub(crate) preferences: &'a Preferences,
    pub(crate) faults: &'a Due<'a>,
    pub(crate) settings: &'a ServiceSettings,
    pub(crate) now: Instant,
}

impl PageRequest<'_> {
    /// Answers with a page, and says how many rows it has. Rows that are sent are marked.
    pub(crate) fn answer(&self) -> Result<(Answer, usize), Refusal> {
        let (base, followed) = split(self.query, self.preferences.max_page)?;
        if self.faults.has(FaultKind::ExpiredLink) {
            return Err(Refusal::bad_request("The paging cookie has expired."));
        }
        let begins = followed.is_none() && self.preferences.track;
        if begins {
            self.check_tracking(base)?;
        }
        let query = self.parse(base)?;
        if let Some(token) = &query.delta {
            return self.changed(base, token, &query, followed);
        }
        // The stamp before the rows: what happens in between comes again.
        let tracking = match followed {
            Some(followed) => followed.tracking,
            None => begins.then(|| self.store.changes().stamp()),
        };
        let rows = &*self.store.rows();
        let walk = Walk::new(rows, &query);
        let from = followed.map_or(0, |followed| walk.step(followed.place));
        let (most, top) = self.most(&query);
        let before =
            from.checked_sub(1).filter(|_| self.faults.has(FaultKind::DuplicateRow)).map(|step| walk.row(step));
        let shape = Shape::of(&query, self.view, &self.preferences.annotations, &self.store.people);

        let mut body = Vec::new();
        let (count, next) = match walk.run(from, most) {
            Some((run, next)) if shape.is_none() && before.is_none() => {
                body = rows.frames(run.clone());
                rows.mark_run(run.clone());
                (run.len(), next)
            }
            _ => {
                let (mut taken, next) = walk.take(from, most);
                if let Some(before) = before {
                    taken.insert(0, before);
                }
                body.push(render(rows, &taken, shape.as_ref()));
                (taken.len(), next)
            }
        };
        let exactly_full = next.is_none() && count == most && count > 0 && self.settings.full_page_link;
        let next = next.or_else(|| exactly_full.then(|| walk.len())).filter(|_| top.is_none_or(|top| top > most));
        let link = next.map(|step| {
            let page = followed.map_or(1, |followed| followed.page) + 1;
            let next = Followed { page, place: walk.place(step), tracking };
            format!("{}{}?{}", self.root, self.store.entity_set, extend(base, next, self.preferences.max_page))
        });
        let link = match (link, tracking) {
            (Some(link), _) => Some(("nextLink", link)),
            (None, Some(stamp)) => Some(("deltaLink", self.delta_link(base, stamp))),
            (None, None) if self.faults.has(FaultKind::ForeignLink) => {
                Some(("nextLink", format!("{}{}", self.root, self.store.entity_set)))
            }
            (None, None) => None,
        };
        let total = query.count.then(|| walk.count().min(self.count_cap()));
        let mut frames = vec![self.head(&query, "", total)];
        frames.append(&mut body);
        frames.push(match link {
            Some((name, link)) => {
                let link = serde_json::Value::String(self.faults.elsewhere(link));
                Bytes::from(format!("],\"@odata.{name}\":{link}}}"))
            }
            None => Bytes::from_static(b"]}"),
        });
        Ok((self.page(frames), count))
    }

    /// The query, for a caller who may read the own rows only with a condition more.
    fn parse(&self, base: &str) -> Result<Query, Refusal> {
        let mut query = Query::parse(base, self.view)?;
        if let Some(own) = self.store.own_rows() {
            query.and(own);
        }
        Ok(query)
    }

    /// The most rows of the page, and `$top` where it is heeded.
    pub(crate) fn most(&self, query: &Query) -> (usize, Option<usize>) {
        let mut most = self.preferences.max_page.unwrap_or(usize::MAX).min(self.settings.max_page.max(1));
        let mut top = None;
        if let (None, Some(asked)) = (self.preferences.max_page, query.top) {
            most = most.min(asked);
            top = Some(asked);
        }
        (self.faults.most(most), top)
    }

    pub(crate) fn page(&self, frames: impl IntoIterator<Item = Bytes>) -> Answer {
        let mut answer = Answer::new(200, "application/json; odata.metadata=minimal", frames);
        let applied = self.preferences.applied();
        if !applied.is_empty() {
            answer.header("preference-applied", &applied);
        }
        answer
    }

    /// Answers with the number of matching rows, or of changes, as text with a byte-order mark.
    pub(crate) fn count(&self) -> Result<Answer, Refusal> {
        let query = self.parse(self.query)?;
        let count = match &query.delta {
            Some(token) => self.pending(token)?,
            None => Walk::new(&self.store.rows(), &query).count().min(self.count_cap()),
        };
        Ok(Answer::new(200, "text/plain", [Bytes::from(format!("\u{feff}{count}"))]))
    }

    /// The number up to which rows are counted.
    const fn count_cap(&self) -> usize {
        if self.view.elastic { 500 } else { 5_000 }
    }

    /// What stands before the rows; `what` ends the context.
    pub(crate) fn head(&self, query: &Query, what: &str, total: Option<usize>) -> Bytes {
        let columns = if query.select.is_empty() { String::new() } else { format!("({})", query.select.join(",")) };
        let total = total.map_or_else(String::new, |total| format!("\"@odata.count\":{total},"));
        Bytes::from(format!(
            "{{\"@odata.context\":\"{}$metadata#{}{columns}{what}\",{total}\"value\":[",
            self.root, self.store.entity_set
        ))
    }
}

fn render(rows: &Rows, taken: &[usize], shape: Option<&Shape<'_>>) -> Bytes {
    let mut out = Vec::with_capacity(taken.len() * if shape.is_some() { 400 } else { 1_360 });
    for (number, at) in taken.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        rows.mark(*at);
        match shape {
            Some(shape) => shape.write(&mut out, &rows.json(*at)),
            None => out.extend_from_slice(&rows.json(*at)),
        }
    }
    Bytes::from(out)
}
