//! Signing in to Graph as every identity, and whether all of them read the same histories.

use futures::future::join_all;

use crate::auth::claims::TokenClaims;
use crate::error::Error;
use crate::http::client::Client;

/// Signs in as every identity. Those that are not of this tenant, a GUID, or lack a needed permission that another has, are
/// no longer used. Returns the claims of the first that is used.
pub(crate) async fn compare(client: &Client, tenant: Option<&str>, needed: &[&str]) -> Result<TokenClaims, Error> {
    let indices = client.identities.used();
    let is_foreign = |claims: &TokenClaims| client.identities.count() > 1 && is_of_another(claims, tenant);
    let tokens = join_all(indices.iter().map(|index| client.token_of(*index))).await;
    let sign_ins = indices.iter().copied().zip(tokens).map(|(index, token)| {
        let claims = token.and_then(|token| match token.claims() {
            claims if is_foreign(&claims) => {
                Err(Error::Usage { what: "the token is of another tenant than `auth.tenant_id` names".to_owned() })
            }
            claims => Ok(claims),
        });
        (index, claims)
    });
    client.identities.accept(sign_ins, |accepted| unequal(accepted, needed))
}

/// Whether a token is known to be of another tenant than this one.
fn is_of_another(claims: &TokenClaims, tenant: Option<&str>) -> bool {
    let own = claims.tenant_id.as_deref();
    own.zip(tenant).is_some_and(|(own, tenant)| !own.eq_ignore_ascii_case(tenant))
}

/// The identities that are not to be used beside the others, and why. Of an opaque token nothing is known.
fn unequal(accepted: &[(usize, TokenClaims)], needed: &[&str]) -> Vec<(usize, String)> {
    let tenant = accepted.iter().find_map(|(_, claims)| claims.tenant_id.as_deref());
    let unequal = accepted.iter().filter_map(|(index, claims)| {
        if is_of_another(claims, tenant) {
            return Some((*index, "it belongs to another tenant".to_owned()));
        }
        let has_role = |role: &str| accepted.iter().any(|(_, other)| other.roles.is_some() && !other.lacks(role));
        let missing = needed.iter().find(|role| claims.lacks(role) && has_role(role))?;
        Some((*index, format!("it lacks the application permission {missing}, which another has")))
    });
    unequal.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::role;

    const ROLES: [&str; 3] = [role::HISTORIES, role::USERS, role::MEMBERS];

    #[test]
    fn identities_share_the_work_if_they_have_the_same_rights_in_one_tenant() {
        let claims = |tenant: Option<&str>, roles: Option<&[&str]>| TokenClaims {
            tenant_id: tenant.map(str::to_owned),
            roles: roles.map(|roles| roles.iter().map(|role| (*role).to_owned()).collect()),
        };
        let all = || claims(Some("t"), Some(&ROLES));
        for (what, accepted, needed, expected) in [
            ("the same", vec![all(), all()], 3, &[][..]),
            ("opaque", vec![claims(None, None), claims(None, None)], 3, &[]),
            ("one of them opaque", vec![all(), claims(None, None)], 3, &[]),
            ("another tenant", vec![all(), claims(Some("u"), Some(&ROLES))], 3, &[1]),
            ("the same tenant, in other letters", vec![all(), claims(Some("T"), Some(&ROLES))], 3, &[]),
            ("a role less", vec![claims(Some("t"), Some(&ROLES[..2])), all()], 3, &[0]),
            ("a role less that is not needed", vec![claims(Some("t"), Some(&ROLES[..2])), all()], 2, &[]),
            ("a role that none has", vec![claims(Some("t"), Some(&ROLES[..2])); 2], 3, &[]),
        ] {
            let accepted: Vec<_> = accepted.into_iter().enumerate().collect();
            let ended: Vec<_> = unequal(&accepted, &ROLES[..needed]).into_iter().map(|(index, _)| index).collect();
            assert_eq!(ended, expected, "{what}");
        }
    }
}
