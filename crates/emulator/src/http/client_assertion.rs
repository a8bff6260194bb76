//! Client assertions: tokens with which an application authenticates instead of a secret.
//!
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>

use std::time::{SystemTime, UNIX_EPOCH};

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::identity::FEDERATED_TOKEN;

/// An error of Entra ID, by its code.
#[derive(Debug)]
pub(crate) struct SignInError {
    pub(crate) code: u32,
    pub(crate) text: String,
}

impl SignInError {
    pub(crate) fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Accepts the federated token, or a well-formed JWT; its signature is not verified.
pub(crate) fn check(assertion: &str, client_id: &str, url: &str) -> Result<(), SignInError> {
    if assertion == FEDERATED_TOKEN {
        return Ok(());
    }
    let parts: Vec<_> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return Err(malformed()) };
    let (header, claims) = (object(header)?, object(claims)?);
    let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    let signed = matches!(text(&header, "alg").as_str(), "RS256" | "PS256") && !signature.is_empty();
    let has_key = ["x5t", "x5t#S256", "x5c", "kid"].iter().any(|name| !header[*name].is_null());
    if !signed || !has_key {
        return Err(SignInError::new(
            700_027,
            "The certificate with identifier used to sign the client assertion is not registered on application.",
        ));
    }
    if text(&claims, "sub") != client_id || text(&claims, "iss") != client_id {
        return Err(SignInError::new(
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        ));
    }
    if text(&claims, "aud") != url {
        return Err(SignInError::new(700_023, "Client assertion audience claim does not match Realm issuer."));
    }
    // Clients use the real time, whatever the scenario's clock says.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if claims["exp"].as_u64().is_none_or(|exp| exp <= now) || claims["nbf"].as_u64().is_some_and(|nbf| nbf > now + 300)
    {
        return Err(SignInError::new(700_024, "Client assertion is not within its valid time range."));
    }
    Ok(())
}

/// A part of a JWT.
fn object(part: &str) -> Result<Value, SignInError> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(part).map_err(|_| malformed())?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object).ok_or_else(malformed)
}

fn malformed() -> SignInError {
    SignInError::new(50_027, "JWT token is invalid or malformed.")
}
