//! Responses of token issuers: a granted token, or the codes of a refusal.

use std::time::{Duration, SystemTime};

use chrono::{FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use copilot_lake_tables::Instant;
use serde::Deserialize;
use serde_json::Value;

use super::secret::Secret;
use crate::json;

/// Upper bound of a token's lifetime: what managed identities grant.
const MAX_LIFETIME: Duration = Duration::from_secs(86_400);

/// Assumed lifetime if the response gives none in a known format; short, so that it is renewed soon.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token granted by a sign-in.
pub(crate) struct GrantedToken {
    pub(crate) token: Secret,
    /// Lifetime from when it was requested.
    pub(crate) lifetime: Duration,
}

impl GrantedToken {
    /// Parses a response given at `now`, by the issuer's clock.
    pub(super) fn read(body: &[u8], now: SystemTime) -> Option<Self> {
        #[derive(Deserialize)]
        struct TokenBody {
            #[serde(alias = "accessToken")]
            access_token: Secret,
            expires_in: Option<Value>,
            expires_on: Option<Value>,
            /// The Azure CLI before 2.54: `2025-06-22 10:00:00.000000` in local time.
            #[serde(rename = "expiresOn")]
            expires_local: Option<String>,
        }
        let response: TokenBody = json::from_slice(body).ok()?;
        let until = |seconds: u64| {
            let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
            Some(end.duration_since(now).unwrap_or_default())
        };
        let lifetime = (response.expires_in.as_ref().and_then(parse_number).map(Duration::from_secs))
            .or_else(|| until(response.expires_on.as_ref().and_then(timestamp)?))
            .or_else(|| until(local_time(&response.expires_local?)?))
            .unwrap_or(DEFAULT_LIFETIME);
        (!response.access_token.is_empty())
            .then_some(Self { token: response.access_token, lifetime: lifetime.min(MAX_LIFETIME) })
    }
}

/// A number, which version 1 endpoints send as text.
fn parse_number(value: &Value) -> Option<u64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (number >= 0.0).then_some(number as u64)
}

/// Seconds since 1970: a number, or a date in any format that platforms use.
fn timestamp(value: &Value) -> Option<u64> {
    let date = || {
        let text = value.as_str()?.trim();
        let iso = text.replacen(' ', "T", 1);
        let iso = Instant::parse(&iso).or_else(|| Instant::parse(&format!("{iso}Z")));
        let of_http = || httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok();
        let seconds = iso.map(|at| at.0.div_euclid(1_000_000)).or_else(|| us_date(text));
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).or_else(|| Some(of_http()?.as_secs()))
    };
    parse_number(value).or_else(date)
}

/// Seconds since 1970 for `9/14/2017 5:00:00 PM +00:00`, as sent by App Service. Some platforms send 24-hour times with
/// AM or PM; without an offset it is UTC.
fn us_date(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace().peekable();
    let date = NaiveDate::parse_from_str(words.next()?, "%m/%d/%Y").ok()?;
    let time = NaiveTime::parse_from_str(words.next()?, "%H:%M:%S").ok()?;
    let half = words.next_if(|word| word.eq_ignore_ascii_case("AM") || word.eq_ignore_ascii_case("PM"));
    let hour = match half {
        Some(half) if half.eq_ignore_ascii_case("PM") && time.hour() < 12 => time.hour() + 12,
        Some(half) if half.eq_ignore_ascii_case("AM") && time.hour() == 12 => 0,
        _ => time.hour(),
    };
    let offset = match words.next() {
        None | Some("Z" | "UTC" | "GMT") => 0,
        Some(offset) => offset.parse::<FixedOffset>().ok()?.local_minus_utc(),
    };
    Some(date.and_time(time.with_hour(hour)?).and_utc().timestamp() - i64::from(offset))
}

/// Seconds since 1970 for a local time; of an hour repeated by daylight saving, the first.
fn local_time(text: &str) -> Option<u64> {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    u64::try_from(time.and_local_timezone(Local).earliest()?.timestamp()).ok()
}

/// The codes of a refusal; its text repeats ids and possibly what was sent.
pub(super) struct OAuthError {
    /// The OAuth error such as `invalid_client`.
    pub(super) error: String,
    /// The digits of `AADSTS7000215`, empty if there are none.
    pub(super) number: String,
    /// The description, to be inspected and never shown.
    pub(super) description: String,
}

impl OAuthError {
    /// `None`: the response is not from Microsoft Entra ID.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct OAuthErrorBody {
            error: String,
            #[serde(default)]
            error_description: String,
        }
        let OAuthErrorBody { error, error_description: description } = json::from_slice(body).ok()?;
        let error = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        Some(Self { error, number: aadsts_number(&description), description })
    }

    /// The vendor's code, otherwise the OAuth error.
    pub(super) fn code(&self) -> String {
        if self.number.is_empty() { self.error.clone() } else { format!("AADSTS{}", self.number) }
    }
}

/// The digits after the first `AADSTS` in a text.
pub(super) fn aadsts_number(text: &str) -> String {
    let digits = text.split_once("AADSTS").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).take(10));
    digits.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_token_is_a_span_or_a_time_as_number_or_text() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
        let lifetime = |rest: &str| {
            let granted = GrantedToken::read(format!(r#"{{"access_token":"t"{rest}}}"#).as_bytes(), now);
            granted.map(|granted| granted.lifetime.as_secs())
        };
        assert_eq!(lifetime(r#","expires_in":3599"#), Some(3599));
        assert_eq!(lifetime(r#","expires_in":"3599","expires_on":"1""#), Some(3599));
        assert_eq!(lifetime(r#","expires_on":"1750003600""#), Some(3600));
        assert_eq!(lifetime(r#","expires_on":1750003600,"expiresOn":"2001-01-01 00:00:00.000000""#), Some(3600));
        assert_eq!(lifetime(r#","expires_on":1749999999"#), Some(0), "it is over");
        assert_eq!(lifetime(r#","expires_in":999999999"#), Some(86_400));
        assert_eq!(lifetime(r#","expires_in":3599.9,"expires_on":"1""#), Some(3599));
        assert!(GrantedToken::read(b"\xEF\xBB\xBF{\"access_token\":\"t\",\"expires_in\":9}", now).is_some());
        assert!(GrantedToken::read(br#"{"access_token":"","expires_in":3599}"#, now).is_none());
        assert!(GrantedToken::read(br#"{"expires_in":3599}"#, now).is_none());
    }

    #[test]
    fn the_end_may_be_a_date_in_every_form_that_platforms_have() {
        // 2025-06-15T15:06:40Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
        for end in [
            "2025-06-15T16:06:40Z",
            "2025-06-15T18:06:40.0000000+02:00",
            "2025-06-15T16:06:40",
            "2025-06-15 16:06:40+00:00",
            "06/15/2025 16:06:40 +00:00",
            "6/15/2025 4:06:40 PM +00:00",
            "06/15/2025 16:06:40 PM +00:00",
            "6/15/2025 4:06:40 pm",
            "6/15/2025 6:06:40 PM +02:00",
            "Sun, 15 Jun 2025 16:06:40 GMT",
            " 1750003600 ",
            "1750003600.5",
        ] {
            let body = format!(r#"{{"access_token":"t","expires_on":"{end}","resource":"r"}}"#);
            let granted = GrantedToken::read(body.as_bytes(), now).unwrap();
            assert_eq!(granted.lifetime.as_secs(), 3600, "{end}");
        }
        assert_eq!(us_date("6/15/2025 12:00:00 AM"), us_date("6/15/2025 0:00:00"));
        assert_eq!((us_date("15/6/2025 1:00:00"), us_date("6/15/2025"), us_date("")), (None, None, None));
    }

    #[test]
    fn a_token_with_an_unknown_end_has_a_short_life() {
        for rest in [
            "",
            r#","expires_in":null"#,
            r#","expires_on":"""#,
            r#","expires_in":null,"expires_on":"soon","expiresOn":"later""#,
            r#","expires_in":-1,"expires_on":{}"#,
            r#","expires_on":18446744073709551615"#,
        ] {
            let body = format!(r#"{{"access_token":"t"{rest}}}"#);
            let granted = GrantedToken::read(body.as_bytes(), SystemTime::now()).unwrap();
            assert_eq!(granted.lifetime, DEFAULT_LIFETIME, "{rest}");
        }
    }

    #[test]
    fn an_old_azure_cli_says_the_end_in_the_machines_own_time() {
        let now = Local::now();
        let end = (now + chrono::TimeDelta::hours(1)).format("%Y-%m-%d %H:%M:%S%.6f");
        let body = format!(r#"{{"accessToken":"t","expiresOn":"{end}","tokenType":"Bearer"}}"#);
        let granted = GrantedToken::read(body.as_bytes(), now.into()).unwrap();
        assert_eq!(granted.token.reveal(), "t");
        // Unless the clocks are changed within the hour.
        assert!(
            [0, 3600, 7200].iter().any(|lifetime| granted.lifetime.as_secs().abs_diff(*lifetime) <= 1),
            "{:?}",
            granted.lifetime
        );
    }

    #[test]
    fn of_a_refusal_only_codes_can_be_shown() {
        let body = br#"{"error":"invalid_client <b>","error_description":"AADSTS7000215: Invalid 'hunter2'. AADSTS1"}"#;
        let refusal = OAuthError::read(body).unwrap();
        assert_eq!((refusal.error.as_str(), refusal.code().as_str()), ("invalid_clientb", "AADSTS7000215"));
        assert_eq!(OAuthError::read(br#"{"error":"invalid_request"}"#).unwrap().code(), "invalid_request");
        assert!(OAuthError::read(b"<html>hunter2").is_none());
        assert_eq!(
            (aadsts_number("AADSTS"), aadsts_number("none"), aadsts_number("AADSTS12345678901234")),
            ("".into(), "".into(), "1234567890".into())
        );
    }
}
