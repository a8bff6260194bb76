//! What the operating system refuses, and what is wrong with a log: by cause, and in words.

use std::error::Error as StdError;
use std::io;

use deltalake::DeltaTableError;
use object_store::Error as StoreError;
use parquet::errors::ParquetError;

use crate::{Error, Remedy, SystemFailure};

fn os(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// The error of a store, behind a library's own.
fn store(number: i32) -> StoreError {
    StoreError::Generic { store: "local", source: Box::new(os(number)) }
}

#[cfg(unix)]
#[test]
fn a_failure_is_found_behind_every_library() {
    use SystemFailure::{Device, FileTooLarge, NoSpace, OutOfMemory, PermissionDenied, ReadOnly, TooManyOpenFiles};
    let cases: Vec<(Box<dyn StdError>, Option<SystemFailure>)> = vec![
        (Box::new(os(28)), Some(NoSpace)),
        (Box::new(os(122)), Some(NoSpace)),
        (Box::new(os(27)), Some(FileTooLarge)),
        (Box::new(os(30)), Some(ReadOnly)),
        (Box::new(os(13)), Some(PermissionDenied)),
        (Box::new(os(1)), Some(PermissionDenied)),
        (Box::new(os(24)), Some(TooManyOpenFiles)),
        (Box::new(os(23)), Some(TooManyOpenFiles)),
        (Box::new(os(12)), Some(OutOfMemory)),
        (Box::new(os(5)), Some(Device)),
        (Box::new(os(2)), None),
        (Box::new(io::Error::other(store(28))), Some(NoSpace)),
        (Box::new(io::Error::other("no space")), None),
        (Box::new(store(30)), Some(ReadOnly)),
        (Box::new(DeltaTableError::from(store(28))), Some(NoSpace)),
        (Box::new(ParquetError::External(Box::new(store(24)))), Some(TooManyOpenFiles)),
        (Box::new(StoreError::NotFound { path: "x".to_owned(), source: Box::new(os(2)) }), None),
    ];
    for (error, wanted) in cases {
        assert_eq!(SystemFailure::of(error.as_ref()), wanted, "{error:?}");
    }
}

#[cfg(unix)]
#[test]
fn what_helps_follows_from_the_cause_and_not_from_where_it_showed() {
    let no_space = Some(Remedy::OfSystem(SystemFailure::NoSpace));
    let denied = Some(Remedy::OfSystem(SystemFailure::PermissionDenied));
    let store_refuses = Some(Remedy::OfSystem(SystemFailure::StoreRefuses));
    let refused =
        "Error performing GET http://b/x in 1ms - Server returned non-2xx status code: 403 Forbidden: <Key>k</Key>";
    let path = object_store::path::Path::from("payload/x.parquet");
    let broken = || ParquetError::General("corrupt footer".to_owned());
    let damaged = Error::Damaged { table: "payload", what: "it is missing".to_owned() };
    let not_found = StoreError::NotFound { path: "x".to_owned(), source: Box::new(os(2)) };
    for (error, wanted) in [
        (Error::log("payload")(store(28).into()), no_space),
        (Error::store("write x")(store(28)), no_space),
        (Error::file("write x")(os(28)), no_space),
        (Error::parquet(&path)(ParquetError::External(Box::new(store(28)))), no_space),
        (Error::log("payload")(store(13).into()), denied),
        (Error::log("payload")(DeltaTableError::Generic("nonsense".to_owned())), Some(Remedy::RestoreLog)),
        (Error::log("payload")(DeltaTableError::Generic(refused.to_owned())), store_refuses),
        (
            Error::store("write x")(StoreError::Generic { store: "S3", source: Box::new(io::Error::other(refused)) }),
            store_refuses,
        ),
        (Error::parquet(&path)(broken()), Some(Remedy::ReplaceFile)),
        (Error::parquet(&path)(ParquetError::External(Box::new(not_found))), None),
        (damaged, Some(Remedy::Repair)),
        (Error::Contended { table: "payload", attempts: 8 }, None),
    ] {
        assert_eq!(error.remedy(), wanted, "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_wrapped_failure_is_told_once() {
    let told = "No space left on device";
    let wrapped = || StoreError::Generic { store: "local", source: Box::new(Error::file("write a/b")(os(28))) };
    assert_eq!(Error::store("write b")(wrapped()).to_string(), format!("cannot write b: cannot write a/b: {told}"));
    assert_eq!(
        Error::log("t")(wrapped().into()).to_string(),
        format!("the log of table t cannot be used: cannot write a/b: {told}")
    );
}

#[test]
fn a_broken_log_is_told_in_a_line_without_its_content() {
    let told = |error: DeltaTableError| Error::log("t")(error).to_string();
    let gap = "Generic delta kernel error: Expected contiguous commit files, but found gap: ParsedLogPath { version: 1, \
               file_type: Commit } -> ParsedLogPath { version: 13, file_type: Commit }";
    let json = serde_json::from_str::<u8>("x").unwrap_err();
    for (error, wanted) in [
        (DeltaTableError::Generic(gap.to_owned()), "the entries between version 1 and version 13 are missing"),
        (
            DeltaTableError::InvalidJsonLog { json_err: json, line: "Jane's salary".to_owned(), version: 7 },
            "version 7 is not JSON",
        ),
        (
            DeltaTableError::Generic("bad footer\\n   0: backtrace".replace("\\n", "\n")),
            "Generic DeltaTable error: bad footer",
        ),
    ] {
        assert_eq!(told(error), format!("the log of table t cannot be used: {wanted}"));
    }
    assert!(told(DeltaTableError::Generic("x".repeat(5000))).len() < 400);
}
