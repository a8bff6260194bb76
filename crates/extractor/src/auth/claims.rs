//! The claims of a token.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::object_id::object_id;

/// What a token says about itself, read without verification: good for advice, not for trust. A token may be opaque.
///
/// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims {
    /// The application permissions granted, such as `AiEnterpriseInteraction.Read.All`; `None`: the token is opaque.
    pub roles: Option<Vec<String>>,
    /// The issuing directory, a GUID; `None`: the token is opaque or does not say.
    pub tenant_id: Option<String>,
}

impl TokenClaims {
    /// Decodes the payload of a JSON Web Token; any other text is opaque.
    pub(crate) fn read(token: &str) -> Self {
        #[derive(Deserialize)]
        struct Claims {
            tid: Option<Value>,
            roles: Option<Value>,
        }
        let mut parts = token.split('.');
        let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Self::default();
        };
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok();
        let Some(claims) = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok()) else {
            return Self::default();
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // A token without the claim has no application permission.
        let roles = match &claims.roles {
            Some(Value::Array(roles)) => roles.iter().filter_map(text).collect(),
            Some(Value::String(role)) => vec![role.clone()],
            _ => Vec::new(),
        };
        let tenant_id = claims.tid.as_ref().and_then(text).filter(|id| object_id(id).is_some());
        Self { roles: Some(roles), tenant_id }
    }

    /// Whether the token is known to lack a permission.
    pub fn lacks(&self, role: &str) -> bool {
        self.roles.as_ref().is_some_and(|roles| !roles.iter().any(|granted| granted == role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(claims: &str) -> TokenClaims {
        TokenClaims::read(&format!("e30.{}.signature", BASE64_URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn roles_and_tenant_are_read_from_a_json_web_token() {
        const ID: &str = "f9d841e5-0000-4000-8000-00000000beef";
        let roles = r#""roles":["User.Read.All","AiEnterpriseInteraction.Read.All"],"exp":1"#;
        let claims = read(&format!(r#"{{"tid":"{ID}",{roles}}}"#));
        assert_eq!(read(&format!(r#"{{"tid":"t\n",{roles}}}"#)).tenant_id, None, "no id");
        assert_eq!(claims.tenant_id.as_deref(), Some(ID));
        assert_eq!(claims.roles.as_ref().unwrap().len(), 2);
        assert!(!claims.lacks("User.Read.All") && claims.lacks("User.Read") && claims.lacks("GroupMember.Read.All"));
        assert_eq!(read(r#"{"roles":"A"}"#).roles, Some(vec!["A".to_owned()]));
        assert_eq!(
            read(r#"{"roles":["A",7],"tid":7}"#),
            TokenClaims { roles: Some(vec!["A".into()]), tenant_id: None }
        );
        let none = read(r#"{"scp":"User.Read"}"#);
        assert_eq!(none.roles, Some(Vec::new()), "a person's token has no application permission");
        assert!(none.lacks("User.Read"));
    }

    #[test]
    fn any_other_token_is_opaque_and_lacks_nothing_that_is_known() {
        let opaque =
            ["", "token-1", "a.b", "a.!.c", "a.e30.c.d", &format!("a.{}.c", BASE64_URL_SAFE_NO_PAD.encode("[1]"))]
                .map(TokenClaims::read);
        for claims in opaque {
            assert_eq!(claims, TokenClaims::default());
            assert!(!claims.lacks("User.Read.All"));
        }
    }
}
