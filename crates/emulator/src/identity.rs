//! Fixed identities: the tenant, the applications and their secrets, the user and the organization.

/// The only tenant.
pub const TENANT_ID: &str = "11111111-1111-1111-1111-111111111111";
/// The usual application.
pub const CLIENT_ID: &str = "22222222-2222-2222-2222-222222222222";
/// Its secret, which is public: the emulator is for demos and tests.
pub const CLIENT_SECRET: &str = "emulator-secret";
/// A second application, for configurations with one per service.
pub const CLIENT_ID_2: &str = "77777777-7777-7777-7777-777777777777";
/// Its secret.
pub const CLIENT_SECRET_2: &str = "emulator-secret-2";
/// A federated token that every application may use instead of its secret.
pub const FEDERATED_TOKEN: &str = "emulator-federated-token";
/// The value that App Service gives its programs for `X-IDENTITY-HEADER`.
pub const IDENTITY_HEADER: &str = "emulator-identity-header";
/// The user of the usual application, as `WhoAmI` names it.
pub const USER_ID: &str = "33333333-3333-3333-3333-333333333333";
/// The user of the second one.
pub(crate) const USER_ID_2: &str = "44444444-4444-4444-4444-444444444444";
/// The business unit that `WhoAmI` names.
pub(crate) const UNIT_ID: &str = "55555555-5555-5555-5555-555555555555";
/// The organization that `WhoAmI` names.
pub const ORGANIZATION_ID: &str = "66666666-6666-6666-6666-666666666666";

/// The applications and their secrets; code refers to an application by its index.
pub(crate) const APPLICATIONS: [(&str, &str); 2] = [(CLIENT_ID, CLIENT_SECRET), (CLIENT_ID_2, CLIENT_SECRET_2)];

/// The users of the applications.
pub(crate) const USERS: [&str; APPLICATIONS.len()] = [USER_ID, USER_ID_2];

/// The index of an application.
pub(crate) fn application(id: &str) -> Option<usize> {
    APPLICATIONS.iter().position(|(known, _)| known.eq_ignore_ascii_case(id))
}
