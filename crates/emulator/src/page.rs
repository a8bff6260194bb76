//! Pages: a frame before the rows, the rows, and a frame with the link behind them.

use bytes::Bytes;

use crate::fault::{FaultKind, FaultSpec};
use crate::fields::Fields;
use crate::link::{Followed, extend, split};
use crate::query::{Preferences, Query, View};
use crate::reply::{Answer, Refusal};
use crate::rows::Rows;
use crate::scenario::ServiceSettings;
use crate::walk::Walk;

/// A request for rows of a table.
pub(crate) struct PageRequest<'a> {
    pub(crate) view: View<'a>,
    pub(crate) entity_set: &'static str,
    /// `http://host:port/api/data/v9.2/`.
    pub(crate) root: &'a str,
    /// The query string as it was sent.
    pub(crate) query: &'a str,
    pub(crate) preferences: Preferences,
    pub(crate) faults: &'a [&'a FaultSpec],
    pub(crate) settings: &'a ServiceSettings,
}

/// Where `foreign_link` leads unless the scenario says otherwise.
const FOREIGN: &str = "http://foreign.example";

impl PageRequest<'_> {
    fn fault(&self, kind: FaultKind) -> Option<&FaultSpec> {
        self.faults.iter().copied().find(|fault| fault.kind == kind)
    }

    /// Answers with a page, and says how many rows it has. Rows that are sent are marked.
    pub(crate) fn answer(&self, rows: &Rows) -> Result<(Answer, usize), Refusal> {
        let (base, followed) = split(self.query, self.preferences.max_page)?;
        if self.fault(FaultKind::ExpiredLink).is_some() {
            return Err(Refusal::bad_request("The paging cookie has expired."));
        }
        let query = Query::parse(base, self.view)?;
        let walk = Walk::new(rows, &query);
        let from = followed.map_or(0, |followed| walk.step(followed.place));
        let mut most = self.preferences.max_page.unwrap_or(usize::MAX).min(self.settings.max_page.max(1));
        let mut top = None;
        if let (None, Some(asked)) = (self.preferences.max_page, query.top) {
            most = most.min(asked);
            top = Some(asked);
        }
        if let Some(short) = self.fault(FaultKind::ShortPage) {
            most = most.min(short.rows.unwrap_or(1));
        }
        if self.fault(FaultKind::EmptyPage).is_some() {
            most = 0;
        }
        let before = self.fault(FaultKind::DuplicateRow).and_then(|_| from.checked_sub(1)).map(|step| walk.row(step));
        let select = Selection::of(&query, self.view);

        let mut body = Vec::new();
        let (count, next) = match walk.run(from, most) {
            Some((run, next)) if select.is_none() && before.is_none() => {
                body = rows.frames(run.clone());
                rows.mark_run(run.clone());
                (run.len(), next)
            }
            _ => {
                let (mut taken, next) = walk.take(from, most);
                if let Some(before) = before {
                    taken.insert(0, before);
                }
                body.push(render(rows, &taken, select.as_ref()));
                (taken.len(), next)
            }
        };
        let exactly_full = next.is_none() && count == most && count > 0 && self.settings.full_page_link;
        let next = next.or_else(|| exactly_full.then(|| walk.len())).filter(|_| top.is_none_or(|top| top > most));
        let link = next.map(|step| {
            let page = followed.map_or(1, |followed| followed.page) + 1;
            let next = Followed { page, place: walk.place(step) };
            format!("{}{}?{}", self.root, self.entity_set, extend(base, next, self.preferences.max_page))
        });
        let link = match self.fault(FaultKind::ForeignLink) {
            Some(fault) => {
                let link = link.unwrap_or_else(|| format!("{}{}", self.root, self.entity_set));
                let path = link.find("/api/").map_or("", |at| &link[at..]);
                Some(format!("{}{path}", fault.origin.as_deref().unwrap_or(FOREIGN)))
            }
            None => link,
        };

        let total = query.count.then(|| walk.count().min(self.count_cap()));
        let mut frames = vec![self.head(&query, total)];
        frames.append(&mut body);
        frames.push(match link {
            Some(link) => Bytes::from(format!("],\"@odata.nextLink\":{}}}", serde_json::Value::String(link))),
            None => Bytes::from_static(b"]}"),
        });
        let mut answer = Answer::new(200, "application/json; odata.metadata=minimal", frames);
        if let Some(size) = self.preferences.max_page {
            answer.header("preference-applied", &format!("odata.maxpagesize={size}"));
        }
        Ok((answer, count))
    }

    /// Answers with the number of matching rows, as text with a byte-order mark.
    pub(crate) fn count(&self, rows: &Rows) -> Result<Answer, Refusal> {
        let query = Query::parse(self.query, self.view)?;
        let count = Walk::new(rows, &query).count().min(self.count_cap());
        Ok(Answer::new(200, "text/plain", [Bytes::from(format!("\u{feff}{count}"))]))
    }

    /// The number up to which rows are counted.
    const fn count_cap(&self) -> usize {
        if self.view.elastic { 500 } else { 5_000 }
    }

    fn head(&self, query: &Query, total: Option<usize>) -> Bytes {
        let columns = if query.select.is_empty() { String::new() } else { format!("({})", query.select.join(",")) };
        let total = total.map_or_else(String::new, |total| format!("\"@odata.count\":{total},"));
        Bytes::from(format!(
            "{{\"@odata.context\":\"{}$metadata#{}{columns}\",{total}\"value\":[",
            self.root, self.entity_set
        ))
    }
}

/// The properties that are sent, when not all are.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Wire names of columns that are left out.
    without: Vec<&'static str>,
}

impl Selection {
    /// `None` when everything is asked for. The key is always sent, and so is what the definition does not know.
    pub(crate) fn of(query: &Query, view: View<'_>) -> Option<Self> {
        let asked = |wire: &str| query.select.is_empty() || query.select.iter().any(|name| name == wire);
        let columns = view.table.columns.iter().filter(|column| view.column(column.wire).is_ok());
        let without = columns.filter(|column| !asked(column.wire) && !view.table.key.contains(&column.name));
        let without: Vec<_> = without.map(|column| column.wire).collect();
        (!without.is_empty()).then_some(Self { without })
    }

    /// Appends a row with the selected properties only.
    pub(crate) fn write(&self, out: &mut Vec<u8>, json: &[u8]) {
        let Ok(fields) = Fields::read(json) else {
            out.extend_from_slice(json);
            return;
        };
        out.push(b'{');
        let start = out.len();
        for (name, raw) in fields.iter().filter(|(name, _)| !self.without.contains(name)) {
            if out.len() > start {
                out.push(b',');
            }
            crate::render::string(out, name);
            out.push(b':');
            out.extend_from_slice(raw.as_bytes());
        }
        out.push(b'}');
    }
}

fn render(rows: &Rows, taken: &[usize], select: Option<&Selection>) -> Bytes {
    let mut out = Vec::with_capacity(taken.len() * if select.is_some() { 400 } else { 1_360 });
    for (number, at) in taken.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        rows.mark(*at);
        match select {
            Some(select) => select.write(&mut out, &rows.json(*at)),
            None => out.extend_from_slice(&rows.json(*at)),
        }
    }
    Bytes::from(out)
}
