//! Client certificates: an assertion signed with the private key takes the place of a secret.
//!
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use memchr::memmem;
use pkcs8::EncryptedPrivateKeyInfo;
use serde_json::json;
use url::Url;

use super::credential_file;
use super::secret::Secret;
use crate::error::Error;
use crate::text_file::{NotText, text_of};

/// Lifetime of an assertion: the most that the vendor recommends.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// A certificate and its private key.
pub(super) struct Certificate {
    der: Vec<u8>,
    key: RsaKeyPair,
}

impl Certificate {
    /// Reads a PEM file with both; it may hold certificates of authorities as well.
    pub(super) fn read(path: &Path, password: Option<&Secret>) -> Result<Self, Error> {
        let bytes = credential_file::read("auth.client_certificate_file", path)?;
        parse(&bytes, password)
            .map_err(|what| Error::Usage { what: format!("the file of `auth.client_certificate_file` {what}") })
    }

    /// An assertion for one sign-in at this token endpoint.
    pub(super) fn assertion(&self, client_id: &str, token_url: &Url, now: SystemTime) -> Result<Secret, Error> {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        // Every cloud accepts RS256 and at least one of the two thumbprints.
        let header = json!({
            "alg": "RS256",
            "typ": "JWT",
            "x5t": encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref()),
            "x5t#S256": encode(digest(&SHA256, &self.der).as_ref()),
        });
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "aud": token_url.as_str(),
            "iss": client_id,
            "sub": client_id,
            "jti": format!("{:032x}", rand::random::<u128>()),
            "iat": now.as_secs(),
            "nbf": now.as_secs(),
            "exp": (now + LIFE).as_secs(),
        });
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| {
            Error::Usage { what: "the private key of `auth.client_certificate_file` cannot sign".to_owned() }
        })?;
        Ok(Secret::new(format!("{signed}.{}", encode(&signature))))
    }
}

fn parse(bytes: &[u8], password: Option<&Secret>) -> Result<Certificate, &'static str> {
    const CONVERT: &str = "is not PEM; convert it: openssl pkcs12 -in x.pfx -out x.pem -nodes";
    let text = text_of(bytes).map_err(|not_text| match not_text {
        NotText::Utf16 => "is UTF-16; save it as UTF-8",
        NotText::NotUtf8 => CONVERT,
    })?;
    let sections = sections(text)?;
    if sections.is_empty() {
        return Err(CONVERT);
    }
    let (label, der) =
        sections.iter().find(|(label, _)| label.ends_with("PRIVATE KEY")).ok_or("holds no private key")?;
    let key = match *label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(der),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(der),
        "ENCRYPTED PRIVATE KEY" => {
            let password = password.filter(|password| !password.is_empty());
            let password = password.ok_or("is encrypted; set `auth.client_certificate_password_file`")?;
            let encrypted = EncryptedPrivateKeyInfo::try_from(der.as_slice())
                .map_err(|_| "is encrypted in an unknown way; encrypt it with: openssl pkcs8 -topk8")?;
            let key = encrypted
                .decrypt(password.reveal())
                .map_err(|_| "cannot be decrypted with the password of `auth.client_certificate_password_file`")?;
            RsaKeyPair::from_pkcs8(key.as_bytes())
        }
        _ => return Err("holds a private key that is not RSA; Microsoft Entra ID takes only RSA"),
    };
    let key = key.map_err(|_| "holds a private key that is not RSA of 2,048 to 8,192 bits")?;
    let mut certificates = sections.iter().filter(|(label, _)| *label == "CERTIFICATE").map(|(_, der)| der).peekable();
    if certificates.peek().is_none() {
        return Err("holds no certificate");
    }
    // A certificate contains its public key verbatim, in the encoding of the key pair's public half.
    let own = |der: &&Vec<u8>| memmem::find(der, key.public_key().as_ref()).is_some();
    let der =
        certificates.find(own).ok_or("holds a certificate and a private key that do not belong together")?.clone();
    Ok(Certificate { der, key })
}

/// The label and bytes of every section of a PEM file; text between sections is skipped.
///
/// The PEM reader of `rustls-pki-types` does not fit: it skips sections whose label it does not know, and
/// `ENCRYPTED PRIVATE KEY` is one of them.
fn sections(text: &str) -> Result<Vec<(&str, Vec<u8>)>, &'static str> {
    const TRUNCATED: &str = "holds a truncated section";
    let mut sections = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or(TRUNCATED)?;
        let (body, after) = body.split_once(&format!("-----END {label}-----")).ok_or(TRUNCATED)?;
        if body.contains("Proc-Type:") {
            return Err("holds a private key that is encrypted in the legacy format; convert it: openssl pkcs8 -topk8");
        }
        let base64: String = body.split_ascii_whitespace().collect();
        sections.push((label, BASE64_STANDARD.decode(base64).map_err(|_| "holds a section that is not base64")?));
        rest = after;
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = include_str!("../tests/keys/certificate.pem");
    const OTHER: &str = include_str!("../tests/keys/other.pem");
    const PKCS8: &str = include_str!("../tests/keys/pkcs8.pem");
    const PKCS1: &str = include_str!("../tests/keys/pkcs1.pem");
    const ENCRYPTED: &str = include_str!("../tests/keys/encrypted.pem");
    const LEGACY: &str = include_str!("../tests/keys/legacy.pem");

    fn refusal(parts: &[&str], password: Option<&str>) -> &'static str {
        parse(parts.concat().as_bytes(), password.map(Secret::new).as_ref()).err().unwrap()
    }

    #[test]
    fn keys_come_in_three_wrappings_and_the_certificate_of_the_key_is_found_among_others() {
        let der = sections(OWN).unwrap().remove(0).1;
        let windows = PKCS8.replace('\n', "\r\n");
        let bag = format!("Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n{PKCS8}");
        let marked = format!("\u{feff}{PKCS8}");
        for key in [PKCS8, PKCS1, ENCRYPTED, &windows, &bag, &marked] {
            for parts in [[OTHER, key, OWN], [key, OTHER, OWN], [OWN, OTHER, key]] {
                let certificate = parse(parts.concat().as_bytes(), Some(&Secret::new("open-sesame"))).unwrap();
                assert!(certificate.der == der);
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_with_what_to_do() {
        assert!(refusal(&[OWN, ENCRYPTED], None).contains("set `auth.client_certificate_password_file`"));
        assert!(refusal(&[OWN, ENCRYPTED], Some("")).contains("set `auth.client_certificate_password_file`"));
        assert!(refusal(&[OWN, ENCRYPTED], Some("hunter2")).contains("cannot be decrypted with the password"));
        assert!(refusal(&[OWN, LEGACY], Some("x")).contains("openssl pkcs8 -topk8"));
        assert!(refusal(&[OTHER, PKCS8], None).contains("do not belong together"));
        assert_eq!(refusal(&[PKCS8], None), "holds no certificate");
        assert_eq!(refusal(&[OWN], None), "holds no private key");
        assert!(refusal(&[OWN, &PKCS8.replace("PRIVATE", "EC PRIVATE")], None).contains("not RSA"));
        assert!(refusal(&[OWN, &PKCS1.replace("RSA PRIVATE", "PRIVATE")], None).contains("not RSA of 2,048"));
        assert!(refusal(&[OWN, &PKCS8[..300]], None).contains("holds a truncated section"));
        assert!(refusal(&[OWN, &PKCS8.replace('M', "?")], None).contains("not base64"));
        let utf_16: Vec<u8> = [OWN, PKCS8].concat().encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf_16, None).err().unwrap(), "is UTF-16; save it as UTF-8");
        for no_pem in [b"\x30\x82\x09\xef\x02\x01\x03".as_slice(), b"hunter2", b""] {
            assert!(parse(no_pem, None).err().unwrap().contains("openssl pkcs12 -in x.pfx -out x.pem -nodes"));
        }
    }
}
