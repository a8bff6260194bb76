//! Dates and times as texts, in all the forms that DuckDB reads: the seconds may be left out, and zeros at the front of a
//! part; parts of a date may be separated by slashes. Numbers are no times.

use std::iter::once;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

/// Writes out constants that are compared with a date or an instant, or cast to one: the cast wants each part with all of
/// its digits. Refuses numbers that are compared with one: a date without quotes is a subtraction.
#[derive(Debug)]
pub(crate) struct WrittenOutTimes;

impl FunctionRewrite for WrittenOutTimes {
    fn name(&self) -> &str {
        "written_out_times"
    }

    fn rewrite(&self, mut expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let is_changed = match &mut expr {
            Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
                write_out([&mut *binary.left, &mut *binary.right], schema)?
            }
            Expr::Between(between) => write_out([&mut *between.expr, &mut *between.low, &mut *between.high], schema)?,
            Expr::InList(list) => write_out(once(&mut *list.expr).chain(&mut list.list), schema)?,
            Expr::Cast(cast) => write_out_constant(&mut cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => write_out_constant(&mut cast.expr, cast.field.data_type()),
            _ => false,
        };
        Ok(if is_changed { Transformed::yes(expr) } else { Transformed::no(expr) })
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Writes out the constants among what is compared; tells whether one was changed.
fn write_out<'a>(operands: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) -> Result<bool> {
    let operands: Vec<_> = operands.into_iter().collect();
    let types: Vec<_> = operands.iter().map(|operand| operand.get_type(schema).ok()).collect();
    let Some(ty) = types.iter().flatten().find(|ty| is_date(ty) || is_instant(ty)) else { return Ok(false) };
    let is_number = |ty: Option<&DataType>| ty.is_some_and(DataType::is_numeric);
    if let Some((number, _)) = operands.iter().zip(&types).find(|(_, of_operand)| is_number(of_operand.as_ref())) {
        let what = if is_date(ty) { "date" } else { "timestamp" };
        return match unquoted_date(number) {
            Some(date) => plan_err!("a {what} is compared with a number: write '{date}', with the quotes"),
            None => plan_err!("a {what} is compared with a number: compare it with a {what}"),
        };
    }
    let mut is_changed = false;
    for operand in operands {
        is_changed |= write_out_constant(operand, ty);
    }
    Ok(is_changed)
}

/// The date that such a number was meant to be: `2026-11-22` is 1993, and `20261122` has no separators.
fn unquoted_date(number: &Expr) -> Option<String> {
    let (year, month, day) = match whole_number(number) {
        Some(digits) => (digits / 10_000, digits / 100 % 100, digits % 100),
        None => subtracted_parts(number)?,
    };
    let is_date = (1_000..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// Year, month and day of a subtraction of three numbers.
fn subtracted_parts(number: &Expr) -> Option<(i64, i64, i64)> {
    let (month, day) = subtraction(number)?;
    let (year, month) = subtraction(month)?;
    Some((whole_number(year)?, whole_number(month)?, whole_number(day)?))
}

/// What a number is subtracted from, and that number.
fn subtraction(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => Some((left.as_ref(), right.as_ref())),
        _ => None,
    }
}

fn whole_number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => Some(*number),
        _ => None,
    }
}

fn write_out_constant(operand: &mut Expr, ty: &DataType) -> bool {
    let Expr::Literal(value, _) = operand else { return false };
    let written = match value.try_as_str().flatten() {
        Some(text) if is_date(ty) => written_out(text).map(|(date, _)| date),
        Some(text) if is_instant(ty) => written_out(text).map(|(date, time)| date + &time),
        _ => None,
    };
    let Some(written) = written else { return false };
    *value = ScalarValue::Utf8(Some(written));
    true
}

fn is_date(ty: &DataType) -> bool {
    matches!(ty, DataType::Date32 | DataType::Date64)
}

fn is_instant(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(..))
}

/// A date, and a time if there is one: `2025-06-01` and `T09:05:00Z` of `2025-6-1 9:05Z`. `None` for any other text.
fn written_out(text: &str) -> Option<(String, String)> {
    let (year, rest) = digits(text.trim(), 4)?;
    let separator = rest.chars().next().filter(|separator| year.len() == 4 && matches!(separator, '-' | '/'))?;
    let (month, rest) = digits(rest.strip_prefix(separator)?, 2)?;
    let (day, rest) = digits(rest.strip_prefix(separator)?, 2)?;
    let date = format!("{year}-{month:0>2}-{day:0>2}");
    if rest.is_empty() {
        return Some((date, String::new()));
    }
    let (hour, rest) = digits(rest.strip_prefix(['T', ' '])?.trim_start(), 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 2)?,
        None if rest.starts_with('.') => return None,
        None => ("0", rest),
    };
    Some((date, format!("T{hour:0>2}:{minute:0>2}:{second:0>2}{rest}")))
}

/// The digits at the front of a text, at most that many, and what follows them.
fn digits(text: &str, most: usize) -> Option<(&str, &str)> {
    let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_written_with_all_of_its_digits() {
        for (text, written) in [
            ("2025-06-01", "2025-06-01"),
            ("2025/6/1", "2025-06-01"),
            ("2025-06-01 10:00", "2025-06-01T10:00:00"),
            (" 2025-06-01T9:05Z ", "2025-06-01T09:05:00Z"),
            ("2025-06-01 10:00+02", "2025-06-01T10:00:00+02"),
            ("2025-06-01  10:00:07.25 Europe/Berlin", "2025-06-01T10:00:07.25 Europe/Berlin"),
        ] {
            let (date, time) = written_out(text).unwrap();
            assert_eq!(date + &time, written, "{text}");
        }
        for text in
            ["", "2025", "2025-06", "25-06-01", "2025-06/01", "2025-06-01T", "2025-06-01 10", "2025-06-01 10:00.5"]
        {
            assert_eq!(written_out(text), None, "{text}");
        }
    }
}
