//! What was received against what it was decoded into.

use copilot_lake_tables::Table;
use copilot_lake_writer::Error;

/// Refuses rows that are not as many as were received: none is lost or doubled between a service and a file.
pub(crate) fn check_decoded(table: &Table, received: u64, decoded: u64) -> Result<(), Error> {
    if received == decoded {
        return Ok(());
    }
    let reason = format!("{received} rows were received, and {decoded} decoded");
    Err(Error::Interrupted { table: table.name, reason })
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::PAYLOAD;

    use super::*;

    #[test]
    fn another_number_is_refused_with_both() {
        assert!(check_decoded(&PAYLOAD, 3, 3).is_ok());
        for (received, decoded) in [(3, 2), (2, 3)] {
            let error = check_decoded(&PAYLOAD, received, decoded).unwrap_err().to_string();
            assert!(error.contains(&format!("{received} rows were received, and {decoded} decoded")), "{error}");
        }
    }
}
