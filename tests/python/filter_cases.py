"""Filters on a column, as every reader asks them."""

import datetime
from decimal import Decimal

import polars
import pyarrow
import pyarrow.dataset


def literal(value):
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case Decimal():
            return f"CAST('{value:f}' AS DECIMAL(38, 12))"
        case datetime.datetime():
            return f"CAST('{value.isoformat()}' AS TIMESTAMP WITH TIME ZONE)"
        case datetime.date():
            return f"DATE '{value.isoformat()}'"
        case str():
            return "'" + value.replace("'", "''") + "'"
    raise TypeError(value)


SIGNS = {"=": "__eq__", "<": "__lt__", ">=": "__ge__"}


def filters_of(values):
    """Operators and operands for a column with these values, ascending: each bound of the statistics decides in one."""
    yield ("null", None)
    if values:
        low, middle, high = values[0], values[len(values) // 2], values[-1]
        yield from [("=", low), ("=", high), ("<", middle), (">=", middle), ("in", [low, high])]


def expected(column, operator, operand):
    there = [value for value in column if value is not None]
    match operator:
        case "null":
            return len(column) - len(there)
        case "in":
            return sum(value in operand for value in there)
    return sum(getattr(value, SIGNS[operator])(operand) for value in there)


def as_sql(name, operator, operand, literal=literal):
    match operator:
        case "null":
            return f'"{name}" IS NULL'
        case "in":
            return f'"{name}" IN ({", ".join(map(literal, operand))})'
    return f'"{name}" {operator} {literal(operand)}'


def as_arrow(field, operator, operand):
    column = pyarrow.dataset.field(field.name)
    match operator:
        case "null":
            return column.is_null()
        case "in":
            return column.isin(pyarrow.array(operand, field.type))
    return getattr(column, SIGNS[operator])(pyarrow.scalar(operand, field.type))


def as_polars(name, dtype, operator, operand):
    column = polars.col(name)
    match operator:
        case "null":
            return column.is_null()
        case "in":
            return column.is_in(polars.lit(polars.Series(operand, dtype=dtype).implode()))
    return getattr(column, SIGNS[operator])(polars.lit(operand, dtype=dtype))


def ask_polars(frame, filters):
    schema = frame.collect_schema()
    frames = [
        frame.filter(as_polars(each["column"], schema[each["column"]], *each["by"])).select(polars.len())
        for each in filters
    ]
    return [found.item() for found in polars.collect_all(frames)]
