"""What sqlglot does not know of the shipped SQL: its functions and parameters, days, and where engines differ in silence.

A rewrite takes the syntax tree of a shipped text, as DuckDB has it, and replaces nodes of it for one dialect.
"""

from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

# The view that holds the parameters: one row, a text per parameter, null where it is not set.
PARAMETERS = "copilot_lake_parameter"

# What sqlglot has no word for, or another than the engine's. Arguments begin with `_`.
#
# Days, in Spark: an instant is shown and cut in the session's zone, so that neither FROM_UTC_TIMESTAMP alone nor the
# two-argument CONVERT_TIMEZONE gives the day elsewhere. The latter is wrong in the hour that the session's zone has twice a
# year, and in Sail 0.7 in all winter. Seconds since 1970 have no zone: FROM_UTC_TIMESTAMP shifts them, and they are counted.
TEMPLATES = {
    "spark": {
        "local_day": "DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(_instant, _zone)) / 86400) AS INT))",
        "week_of": "NEXT_DAY(DATE_ADD(_day, -7), _first_day)",
        "lake_week": "NEXT_DAY(DATE_ADD(_week, -4), _first_day)",
        "seconds_between": "CAST(UNIX_MICROS(_later) - UNIX_MICROS(_earlier) AS DOUBLE) / 1000000",
        "days_between": "DATEDIFF(_later, _earlier)",
        "replace_first": "REGEXP_REPLACE(_text, CONCAT('(?s)^(.*?)', _pattern), CONCAT('$1', _replacement))",
        "join_texts": "CASE WHEN COUNT(_text) > 0 THEN ARRAY_JOIN(TRANSFORM(SORT_ARRAY(COLLECT_LIST(_keys) "
        "FILTER (WHERE NOT _text IS NULL)), part -> part.text), _separator) END",
    },
    "trino": {
        "local_day": "CAST(AT_TIMEZONE(_instant, _zone) AS DATE)",
        "week_of": "DATE_ADD('DAY', -MOD(DAY_OF_WEEK(_day) - "
        "CASE _first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END, 7), _day)",
        "lake_week": "CASE _first_day WHEN 'sunday' THEN _week WHEN 'monday' THEN DATE_ADD('DAY', 1, _week) END",
        "seconds_between": "CAST(DATE_DIFF('MILLISECOND', _earlier, _later) AS DOUBLE) / 1000",
        "days_between": "DATE_DIFF('DAY', _earlier, _later)",
        "days_after": "DATE_ADD('DAY', _days, _day)",
        "replace_first": "REGEXP_REPLACE(_text, CONCAT('(?s)^(.*?)', _pattern), CONCAT('$1', _replacement))",
    },
    "snowflake": {
        "local_day": "CAST(CONVERT_TIMEZONE(_zone, _instant) AS DATE)",
        "week_of": "DATEADD(DAY, -MOD(DAYOFWEEKISO(_day) - "
        "CASE _first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END, 7), _day)",
        "lake_week": "CASE _first_day WHEN 'sunday' THEN _week WHEN 'monday' THEN DATEADD(DAY, 1, _week) END",
        "seconds_between": "CAST(DATEDIFF(MICROSECOND, _earlier, _later) AS DOUBLE) / 1000000",
        "days_between": "DATEDIFF(DAY, _earlier, _later)",
        "replace_first": "REGEXP_REPLACE(_text, _pattern, _replacement, 1, 1)",
    },
}
# The arguments of the shipped functions, and what they return. Their meaning is in crates/query/src/functions.
FUNCTIONS = {
    "local_day": (("_instant", "_zone"), "DATE"),
    "week_of": (("_instant", "_zone", "_first_day"), "DATE"),
    "lake_week": (("_week", "_first_day"), "DATE"),
    "seconds_between": (("_earlier", "_later"), "DOUBLE"),
    "getvariable": (("_name",), "TEXT"),
}


def shipped_functions(tree: exp.Expression) -> list[exp.Anonymous]:
    """Calls of the shipped functions, the inner ones first."""
    calls = [call for call in tree.find_all(exp.Anonymous) if call.name.lower() in FUNCTIONS]
    return calls[::-1]


def built(dialect: str, template: str, **arguments: exp.Expression) -> exp.Expression:
    """A template with its arguments."""
    tree = parse_one(TEMPLATES[dialect][template], read=dialect)

    def filled(node: exp.Expression) -> exp.Expression:
        return arguments[node.name].copy() if isinstance(node, exp.Column) and node.name.startswith("_") else node

    return tree.transform(filled)


def annotated(tree: exp.Expression, schema: dict) -> exp.Expression:
    """A copy whose expressions have types, over these tables and their columns."""
    copied = tree.copy()
    for call in shipped_functions(copied):
        call.replace(exp.cast(exp.null(), FUNCTIONS[call.name.lower()][1]))
    copied = qualify(copied, schema=schema, dialect="duckdb", quote_identifiers=False)
    return annotate_types(copied, schema=schema, dialect="duckdb")


def columns(tree: exp.Expression, schema: dict) -> dict[str, str]:
    """The columns that a query returns, and their types."""
    found = {column.alias_or_name: column.type.sql("duckdb") for column in annotated(tree, schema).selects}
    unknown = [name for name, kind in found.items() if kind in ("UNKNOWN", "NULL")]
    assert not unknown, f"no type is known of {unknown}"
    return found


def rewrite_dates(tree: exp.Expression, schema: dict, dialect: str) -> None:
    """Days between dates, and days before and after a date, where the engine does not take `-` and `+` for them."""
    sums = list(tree.find_all(exp.Sub, exp.Add))
    for number, node in enumerate(sums):
        node.meta["sum"] = number
    types = {
        node.meta["sum"]: (node.left.type, node.right.type)
        for node in annotated(tree, schema).find_all(exp.Sub, exp.Add)
        if "sum" in node.meta
    }
    # The inner ones first: what holds them is replaced later.
    for number, node in reversed(list(enumerate(sums))):
        left, right = types[number]
        if left.is_type("DATE") and right.is_type("DATE"):
            node.replace(built(dialect, "days_between", _later=node.left, _earlier=node.right))
        elif "days_after" in TEMPLATES[dialect] and left.is_type("DATE") and right.is_type(*exp.DataType.INTEGER_TYPES):
            days = node.right if isinstance(node, exp.Add) else exp.Neg(this=exp.paren(node.right))
            node.replace(built(dialect, "days_after", _days=days, _day=node.left))


def rewrite_parameters(tree: exp.Expression) -> set[str]:
    """`getvariable('tz')` is a column of the view of parameters. Returns their names."""
    names = set()
    for call in shipped_functions(tree):
        if call.name.lower() == "getvariable":
            name, select = call.expressions[0].name, call.find_ancestor(exp.Select)
            read = select.args.get("from_")
            assert not read or read.this.name == PARAMETERS, f"parameter {name} is not in a CTE of parameters alone"
            select.from_(PARAMETERS, copy=False)
            call.replace(exp.column(exp.to_identifier(name, quoted=name in ("from", "to")), table=PARAMETERS))
            names.add(name)
    return names


def rewrite_functions(tree: exp.Expression, dialect: str) -> None:
    """The shipped functions, natively."""
    for call in shipped_functions(tree):
        name = call.name.lower()
        arguments = dict(zip(FUNCTIONS[name][0], call.expressions, strict=True))
        if name == "week_of":
            arguments["_day"] = built(dialect, "local_day", **arguments)
        call.replace(built(dialect, name, **arguments))


def rewrite_texts(tree: exp.Expression, dialect: str) -> None:
    """Texts put together in an order, nothing of nothing; and what a pattern finds first, replaced."""
    for node in list(tree.find_all(exp.RegexpReplace)):
        assert not node.args.get("modifiers"), f"{node.sql('duckdb')}: options are not rewritten"
        found = {"_text": node.this, "_pattern": node.expression, "_replacement": node.args["replacement"]}
        node.replace(built(dialect, "replace_first", **found))
    for node in list(tree.find_all(exp.GroupConcat)):
        order = node.this
        assert isinstance(order, exp.Order), f"{node.sql('duckdb')}: texts without an order"
        if "join_texts" in TEMPLATES[dialect]:
            keys = []
            for number, key in enumerate(order.expressions):
                assert not key.args.get("desc") and not key.args.get("nulls_first"), f"{node.sql('duckdb')}: ascending only"
                # Nulls last.
                keys.append(exp.alias_(exp.Is(this=key.this.copy(), expression=exp.null()), f"is_null_{number}"))
                keys.append(exp.alias_(key.this.copy(), f"key_{number}"))
            keys.append(exp.alias_(order.this.copy(), "text"))
            arguments = {"_keys": exp.Struct(expressions=keys), "_text": order.this, "_separator": node.args["separator"]}
            node.replace(built(dialect, "join_texts", **arguments))
        elif dialect == "snowflake":
            # LISTAGG makes an empty text of nothing.
            some = exp.GT(this=exp.Count(this=order.this.copy()), expression=exp.Literal.number(0))
            node.replace(exp.Case().when(some, node.copy()))


def inline(tree: exp.Select, name: str, query: exp.Select) -> None:
    """Puts a query that this one reads by its name before its CTEs, under names that are nobody else's."""
    query = query.copy()
    query.set("order", None)
    ctes = query.ctes
    renamed = {cte.alias: f"{name}_{cte.alias}" for cte in ctes}
    for table in query.find_all(exp.Table):
        if table.name in renamed:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
            table.set("this", exp.to_identifier(renamed[table.name]))
    for cte in ctes:
        cte.args["alias"].set("this", exp.to_identifier(renamed[cte.alias]))
    query.set("with_", None)
    whole = exp.CTE(this=query, alias=exp.TableAlias(this=exp.to_identifier(name)))
    tree.args["with_"].set("expressions", [*ctes, whole, *tree.ctes])


def rewritten(tree: exp.Expression, schema: dict, dialect: str) -> exp.Expression:
    """The tree for a dialect."""
    tree = tree.copy()
    rewrite_dates(tree, schema, dialect)
    rewrite_parameters(tree)
    rewrite_functions(tree, dialect)
    rewrite_texts(tree, dialect)
    return tree
