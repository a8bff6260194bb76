//! Answers of those who give tokens: what was granted, or the codes of a refusal.

use std::time::{Duration, SystemTime};

use chrono::{Local, NaiveDateTime};
use serde::Deserialize;
use serde_json::Value;

use crate::secret::Secret;

/// Longer is no promise to rely on; managed identities promise exactly so much.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// What a sign-in gives.
pub(crate) struct Granted {
    pub(crate) token: Secret,
    /// For how long, from when it was asked for.
    pub(crate) life: Duration,
}

impl Granted {
    /// Reads an answer that was given at `now` by the clock of who gave it.
    pub(super) fn read(body: &[u8], now: SystemTime) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(alias = "accessToken")]
            access_token: Secret,
            expires_in: Option<Value>,
            expires_on: Option<Value>,
            /// The Azure CLI before 2.54: `2025-06-22 10:00:00.000000` in the machine's own time.
            #[serde(rename = "expiresOn")]
            expires_local: Option<String>,
        }
        let answer: Answer = serde_json::from_slice(body).ok()?;
        // Version 1 endpoints send numbers as text.
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let until = |seconds: u64| {
            let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
            Some(end.duration_since(now).unwrap_or_default())
        };
        let life = (answer.expires_in.as_ref().and_then(number).map(Duration::from_secs))
            .or_else(|| until(answer.expires_on.as_ref().and_then(number)?))
            .or_else(|| until(local(&answer.expires_local?)?))?;
        (!answer.access_token.is_empty()).then_some(Self { token: answer.access_token, life: life.min(LONGEST_LIFE) })
    }
}

/// Seconds since 1970; of an hour that the clocks repeat the first.
fn local(text: &str) -> Option<u64> {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    u64::try_from(time.and_local_timezone(Local).earliest()?.timestamp()).ok()
}

/// The codes of a refusal; its text repeats ids and may repeat what was sent.
pub(super) struct Refusal {
    /// OAuth's word such as `invalid_client`.
    pub(super) error: String,
    /// The digits of `AADSTS7000215`, empty where there are none.
    pub(super) number: String,
    /// The text, to be looked at and never shown.
    pub(super) description: String,
}

impl Refusal {
    /// `None`: the answer is not one of Microsoft Entra ID.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            error: String,
            #[serde(default)]
            error_description: String,
        }
        let Answer { error, error_description: description } = serde_json::from_slice(body).ok()?;
        let error = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        Some(Self { error, number: number(&description), description })
    }

    /// The vendor's code, else OAuth's.
    pub(super) fn code(&self) -> String {
        if self.number.is_empty() { self.error.clone() } else { format!("AADSTS{}", self.number) }
    }
}

/// The digits behind the first `AADSTS` of a text.
pub(super) fn number(text: &str) -> String {
    let digits = text.split_once("AADSTS").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).take(10));
    digits.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_token_is_a_span_or_a_time_as_number_or_text() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
        let life = |rest: &str| {
            let granted = Granted::read(format!(r#"{{"access_token":"t"{rest}}}"#).as_bytes(), now);
            granted.map(|granted| granted.life.as_secs())
        };
        assert_eq!(life(r#","expires_in":3599"#), Some(3599));
        assert_eq!(life(r#","expires_in":"3599","expires_on":"1""#), Some(3599));
        assert_eq!(life(r#","expires_on":"1750003600""#), Some(3600));
        assert_eq!(life(r#","expires_on":1750003600,"expiresOn":"2001-01-01 00:00:00.000000""#), Some(3600));
        assert_eq!(life(r#","expires_on":1749999999"#), Some(0), "it is over");
        assert_eq!(life(r#","expires_on":18446744073709551615"#), None);
        assert_eq!(life(r#","expires_in":999999999"#), Some(86_400));
        assert_eq!(life(r#","expires_in":null,"expires_on":"soon","expiresOn":"later""#), None);
        assert_eq!(life(""), None);
        assert!(Granted::read(br#"{"access_token":"","expires_in":3599}"#, now).is_none());
        assert!(Granted::read(br#"{"expires_in":3599}"#, now).is_none());
    }

    #[test]
    fn an_old_azure_cli_says_the_end_in_the_machines_own_time() {
        let now = Local::now();
        let end = (now + chrono::TimeDelta::hours(1)).format("%Y-%m-%d %H:%M:%S%.6f");
        let body = format!(r#"{{"accessToken":"t","expiresOn":"{end}","tokenType":"Bearer"}}"#);
        let granted = Granted::read(body.as_bytes(), now.into()).unwrap();
        assert_eq!(granted.token.reveal(), "t");
        // Unless the clocks are changed within the hour.
        assert!([0, 3600, 7200].iter().any(|life| granted.life.as_secs().abs_diff(*life) <= 1), "{:?}", granted.life);
    }

    #[test]
    fn of_a_refusal_only_codes_can_be_shown() {
        let body = br#"{"error":"invalid_client <b>","error_description":"AADSTS7000215: Invalid 'hunter2'. AADSTS1"}"#;
        let refusal = Refusal::read(body).unwrap();
        assert_eq!((refusal.error.as_str(), refusal.code().as_str()), ("invalid_clientb", "AADSTS7000215"));
        assert_eq!(Refusal::read(br#"{"error":"invalid_request"}"#).unwrap().code(), "invalid_request");
        assert!(Refusal::read(b"<html>hunter2").is_none());
        assert_eq!(
            (number("AADSTS"), number("none"), number("AADSTS12345678901234")),
            ("".into(), "".into(), "1234567890".into())
        );
    }
}
