//! Errors in words.

use super::*;

#[test]
fn a_failure_is_told_by_its_kind_and_quotes_no_value() {
    let arrow = |error: ArrowError| DataFusionError::ArrowError(Box::new(error), None);
    let secret = || "Cannot cast string '\u{1b}[31mJane's salary' to value of Int64 type".to_owned();
    let cast = "a value does not have the type that it is cast to; the query casts t.a to Int64";
    let function = "a function cannot be computed for a value that it was given; the query computes abs of t.b";
    let operation =
        "an operation cannot be done with a value that it was given; the query computes `%` of t.c, abs of t.b";
    for (error, words) in [
        (arrow(ArrowError::CastError(secret())), cast),
        (arrow(ArrowError::ParseError(secret())), cast),
        (
            arrow(ArrowError::ArithmeticOverflow(secret())),
            "a result is too large for its type; the query computes `%` of t.c",
        ),
        (arrow(ArrowError::DivideByZero), "division by zero; the query computes `%` of t.c"),
        (arrow(ArrowError::ComputeError(secret())), operation),
        (arrow(ArrowError::InvalidArgumentError(secret())), operation),
        (arrow(ArrowError::JsonError(secret())), operation),
        (arrow(ArrowError::ExternalError(secret().into())), operation),
        (DataFusionError::Execution(secret()), function),
        (DataFusionError::Execution("timezone needs one zone for all rows".to_owned()), "timezone needs one zone"),
        (
            DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(ArrowError::CastError(secret()))))),
            cast,
        ),
        (DataFusionError::ParquetError(Box::new(ParquetError::External(secret().into()))), "a file cannot be read"),
        (
            DataFusionError::ParquetError(Box::new(ParquetError::General("x.parquet is cut".to_owned()))),
            "Parquet error: x",
        ),
        (DataFusionError::Internal(secret()), "the query engine reports an internal error"),
        (DataFusionError::External(secret().into()), "the query engine reports an internal error"),
        (DataFusionError::ResourcesExhausted("3 MB are left".to_owned()), "3 MB are left"),
        (DataFusionError::Context(secret(), Box::new(DataFusionError::Execution(secret()))), function),
    ] {
        let parts = || FallibleParts {
            constants: [].into(),
            casts: ["t.a to Int64".to_owned()].into(),
            functions: ["abs of t.b".to_owned()].into(),
            operations: ["`%` of t.c".to_owned()].into(),
        };
        let seen = Error::running(&error, parts).to_string();
        assert!(seen.starts_with(&format!("the query failed: {words}")) && !seen.contains("salary"), "{seen}");
        let planned = Error::planning(&error, FallibleParts::default).to_string();
        // No file is read before a query runs.
        let is_computed = matches!(root(&error), DataFusionError::ArrowError(..) | DataFusionError::Execution(_));
        assert!(!is_computed || !planned.contains("salary"), "{planned}");
    }
}

#[test]
fn what_a_function_needs_is_said_without_what_the_text_quotes() {
    let parsed = |message: &str| Error::parsing(&DataFusionError::Execution(message.to_owned())).to_string();
    assert_eq!(parsed("part must be a constant"), "the query cannot be run: part must be a constant");
    assert_eq!(parsed("part 'it`s' of \"x\" and 'y"), "the query cannot be run: part … of … and …");
}

#[test]
fn a_value_that_stands_in_the_text_is_the_texts_mistake() {
    let error = DataFusionError::Execution("Unsupported date part 'salary'".to_owned());
    let is_of_text = |parts: fn() -> FallibleParts| matches!(Error::running(&error, parts), Error::Question(_));
    assert!(is_of_text(FallibleParts::default));
    assert!(!is_of_text(|| FallibleParts { functions: ["abs of t.b".to_owned()].into(), ..FallibleParts::default() }));
    // What is about no value is no mistake of anybody.
    let memory = DataFusionError::ArrowError(Box::new(ArrowError::MemoryError("3 MB".to_owned())), None);
    let seen = Error::running(&memory, FallibleParts::default);
    assert!(matches!(&seen, Error::Run(reason) if reason == "there is not enough memory"), "{seen}");
}
