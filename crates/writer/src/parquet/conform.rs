//! Conversion of columns to the lake's types, whatever tool wrote them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

/// Converts a column to that type. A timestamp without a zone is in UTC.
///
/// # Errors
/// A value that the type cannot hold, or a column of another kind: no value becomes null.
pub(crate) fn conform(name: &str, column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let from = column.data_type();
    if from == to {
        return Ok(Arc::clone(column));
    }
    let made = match (from, to) {
        (DataType::Null, _) => Ok(new_null_array(to, column.len())),
        (DataType::Dictionary(_, values), _) => {
            strict(column, values).and_then(|values: ArrayRef| conform(name, &values, to))
        }
        (DataType::Timestamp(unit, _), DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => micros(column, *unit)
            .map(|micros| {
                let instants = micros.reinterpret_cast::<TimestampMicrosecondType>();
                Arc::new(instants.with_timezone(Arc::clone(zone))) as ArrayRef
            }),
        (from, DataType::Int32 | DataType::Int64 | DataType::Decimal128(..)) if from.is_integer() => strict(column, to),
        (from, DataType::Decimal128(..)) if from.is_decimal() => decimals(column, to),
        (
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView,
            DataType::Utf8,
        ) => strict(column, to),
        _ => Err(ArrowError::CastError(format!("expected {to}, found {from}"))),
    };
    made.map_err(|error| match error {
        ArrowError::CastError(reason) if reason.starts_with("column ") => ArrowError::CastError(reason),
        error => ArrowError::CastError(format!("column {name}: {error}")),
    })
}

/// Casts every value, or fails. The error does not quote the value: it is somebody's.
fn strict(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let made = cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() });
    made.map_err(|_| ArrowError::CastError(format!("a value of type {} does not fit {to}", column.data_type())))
}

/// Microseconds since the epoch. Nanoseconds are truncated, as every reader of a Delta timestamp does.
fn micros(column: &ArrayRef, unit: TimeUnit) -> Result<Int64Array, ArrowError> {
    let values = strict(column, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    let times = |factor: i64| {
        values.try_unary(|value| {
            let micros = value.checked_mul(factor);
            micros.ok_or_else(|| ArrowError::CastError("an instant is out of range".to_owned()))
        })
    };
    match unit {
        TimeUnit::Second => times(1_000_000),
        TimeUnit::Millisecond => times(1_000),
        TimeUnit::Microsecond => Ok(values.clone()),
        TimeUnit::Nanosecond => Ok(values.unary(|value| value.div_euclid(1_000))),
    }
}

/// Decimals of another scale, if no digit is lost.
fn decimals(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let made = strict(column, to)?;
    let back = strict(&made, column.data_type())?;
    if back.as_ref() != column.as_ref() {
        return Err(ArrowError::CastError(format!("{} has more digits than {to}", column.data_type())));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Decimal128Array, DictionaryArray, Int32Array, LargeStringArray, StringArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    fn instant() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    #[test]
    fn values_stay_what_they_are() {
        let micros: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(-1)]).with_timezone("UTC"));
        for times in [
            Arc::new(TimestampNanosecondArray::from(vec![Some(1_500_000_000), None, Some(-1)])) as ArrayRef,
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(-1)])),
            // The zone says how to show an instant, not which one it is.
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(-1)]).with_timezone("+02:00")),
        ] {
            assert_eq!(&conform("t", &times, &instant()).unwrap(), &micros, "{}", times.data_type());
        }
        let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_500]));
        assert_eq!(
            conform("t", &millis, &instant()).unwrap().as_primitive::<TimestampMicrosecondType>().value(0),
            1_500_000
        );

        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
        let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("b")].into_iter().collect();
        for texts in [
            Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("b")])) as ArrayRef,
            Arc::new(BinaryArray::from(vec![Some(b"a".as_slice()), None, Some(b"b")])),
            Arc::new(dictionary),
        ] {
            assert_eq!(&conform("s", &texts, &DataType::Utf8).unwrap(), &plain, "{}", texts.data_type());
        }

        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
        assert_eq!(&conform("n", &numbers, &DataType::Int32).unwrap(), &expected);
        let money: ArrayRef = Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap());
        let made = conform("d", &money, &DataType::Decimal128(38, 12)).unwrap();
        assert_eq!(made.as_primitive::<arrow::datatypes::Decimal128Type>().value(0), 1_500_000_000_000);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_column() {
        let fine: ArrayRef = Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(38, 13).unwrap());
        for (column, to) in [
            (Arc::new(Int64Array::from(vec![1 << 40])) as ArrayRef, DataType::Int32),
            (Arc::new(TimestampMillisecondArray::from(vec![i64::MAX])), instant()),
            (Arc::new(BinaryArray::from(vec![b"\xff".as_slice()])), DataType::Utf8),
            (Arc::new(StringArray::from(vec!["1"])), DataType::Int32),
            (Arc::new(Int64Array::from(vec![1])), instant()),
            (fine, DataType::Decimal128(38, 12)),
        ] {
            let error = conform("x", &column, &to).unwrap_err().to_string();
            assert!(error.contains("column x"), "{error}");
            for value in ["1099511627776", "9223372036854775807", "255", "ff"] {
                assert!(!error.contains(value), "the value is shown: {error}");
            }
        }
    }
}
