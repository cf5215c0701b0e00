//! The tokens of known identity providers, in the shapes that their documentation
//! shows, each signed as that provider signs.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::signer::Signer;
    use crate::tests::support::*;
    use crate::token::Algorithm;

    /// A provider, as an operator would add it, and a token of Ann's, who is the owner
    /// of acme here.
    struct Provider {
        issuer: &'static str,
        algorithm: Algorithm,
        /// The arguments of add_issuer() after the keys.
        arguments: &'static str,
        subject: &'static str,
        /// What the provider calls the tenant, where that isn't the slug.
        organization: Option<&'static str>,
        /// Without iss, sub and the dates.
        claims: Value,
    }

    fn entering(token: &str) -> String {
        outcome(&format!("select tenancy.enter('{token}')"))
    }

    impl Provider {
        fn sign(&self, signer: &Signer, claims: &Value) -> String {
            let now = jsonwebtoken::get_current_timestamp();
            let mut all =
                json!({"iss": self.issuer, "sub": self.subject, "iat": now, "exp": now + 900});
            all.as_object_mut()
                .expect("claims")
                .extend(claims.as_object().expect("claims").clone());
            signer.sign(&all)
        }

        /// Ann enters with it; and not with a token of another organization, or of none.
        fn try_out(&self, elsewhere: &Value, nowhere: &Value) {
            take_turn();
            let acme = tenant("acme");
            tenant("globex");
            let signer = Signer::new("key-1", self.algorithm);
            let keys = signer.jwks();
            run(&self.arguments.replacen("KEYS", &format!("'{keys}'"), 1));
            run(&format!(
                "select tenancy.link_identity('{}', '{}', 'owner@acme.example')",
                self.issuer, self.subject
            ));
            if let Some(organization) = self.organization {
                run(&format!(
                    "select tenancy.link_tenant('{}', '{organization}', '{}')",
                    self.issuer, acme.id
                ));
            }
            become_role("tenancy_app");
            assert_eq!(entering(&self.sign(&signer, elsewhere)), "TN002");
            assert_eq!(entering(&self.sign(&signer, nowhere)), "TN010");
            let stranger = Signer::new("key-1", self.algorithm);
            assert_eq!(entering(&self.sign(&stranger, &self.claims)), "TN011");
            let token = self.sign(&signer, &self.claims);
            assert_eq!(
                text(&format!("select tenancy.enter('{token}')::text")),
                acme.id.to_string()
            );
            assert_eq!(
                text("select tenancy.current_user_id()::text"),
                acme.owner.to_string()
            );
        }
    }

    fn changed(claims: &Value, pointer: &str, value: Value) -> Value {
        let mut claims = claims.clone();
        *claims.pointer_mut(pointer).expect("a claim") = value;
        claims
    }

    fn without(claims: &Value, name: &str) -> Value {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("claims").remove(name);
        claims
    }

    /// An access token of a person who logged in through an organization.
    #[pg_test]
    fn auth0() {
        let claims = json!({
            "aud": ["https://example-api/", "https://exampleco.auth0.com/userinfo"],
            "azp": "FOBe7Qx4YqJf5QbBqXM6", "scope": "openid profile email",
            "org_id": "org_9ybsU1dN2dKfDkBi",
        });
        Provider {
            issuer: "https://exampleco.auth0.com/",
            algorithm: Algorithm::RS256,
            arguments: "select tenancy.add_issuer('https://exampleco.auth0.com/', 'https://example-api/', KEYS,
                tenant_claim => '{org_id}', tenant_by => 'external')",
            subject: "auth0|602c0dcab993d10073daf680",
            organization: Some("org_9ybsU1dN2dKfDkBi"),
            claims: claims.clone(),
        }
        .try_out(&changed(&claims, "/org_id", json!("org_other")), &without(&claims, "org_id"));
    }

    fn keycloak_claims(organization: Value) -> Value {
        json!({
            "jti": "onrtac:4a1ac1ff", "aud": ["app", "account"], "typ": "Bearer", "azp": "web",
            "sid": "e9c9254c-5b59-4a8e-b90a-7766ef1b25d1", "acr": "1",
            "realm_access": {"roles": ["offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["manage-account"]}},
            "scope": "openid organization email", "email_verified": true,
            "preferred_username": "ann", "email": "ann@acme.example",
            "organization": organization,
        })
    }

    /// The map with ids, which the mapper has when "Add organization id" is on.
    #[pg_test]
    fn keycloak_with_the_organizations_id() {
        let id = "eb8e50f0-7e88-4da7-9a49-b8e33e19e0d8";
        let claims = keycloak_claims(json!({"acme-inc": {"id": id}}));
        let two = json!({"acme-inc": {"id": id}, "globex": {"id": "4d37de35-f388-4c81-bdff-c41d67de66e5"}});
        Provider {
            issuer: "https://keycloak.example/realms/main",
            algorithm: Algorithm::RS256,
            arguments:
                "select tenancy.add_issuer('https://keycloak.example/realms/main', 'app', KEYS,
                tenant_claim => '{organization,*,id}', tenant_by => 'external')",
            subject: "d019f228-2469-4cdd-b086-4c3cd5fe3aef",
            organization: Some(id),
            claims: claims.clone(),
        }
        .try_out(
            &changed(
                &claims,
                "/organization/acme-inc/id",
                json!("4d37de35-f388-4c81-bdff-c41d67de66e5"),
            ),
            // A person of two, who asked for both: which one?
            &changed(&claims, "/organization", two),
        );
    }

    /// The map without ids: the name of its one member is the alias.
    #[pg_test]
    fn keycloak_with_the_organizations_alias() {
        let claims = keycloak_claims(json!({"acme": {}}));
        Provider {
            issuer: "https://keycloak.example/realms/main",
            algorithm: Algorithm::PS256,
            arguments:
                "select tenancy.add_issuer('https://keycloak.example/realms/main', 'app', KEYS,
                tenant_claim => '{organization,*}', tenant_by => 'slug')",
            subject: "d019f228-2469-4cdd-b086-4c3cd5fe3aef",
            organization: None,
            claims: claims.clone(),
        }
        .try_out(
            &changed(&claims, "/organization", json!({"globex": {}})),
            &changed(&claims, "/organization", json!({"acme": {}, "globex": {}})),
        );
    }

    /// The list of aliases, which is what the claim is when its type is String.
    #[pg_test]
    fn keycloak_with_a_list_of_aliases() {
        let claims = keycloak_claims(json!(["acme"]));
        Provider {
            issuer: "https://keycloak.example/realms/main",
            algorithm: Algorithm::ES256,
            arguments:
                "select tenancy.add_issuer('https://keycloak.example/realms/main', 'app', KEYS,
                tenant_claim => '{organization,*}', tenant_by => 'slug')",
            subject: "d019f228-2469-4cdd-b086-4c3cd5fe3aef",
            organization: None,
            claims: claims.clone(),
        }
        .try_out(
            &changed(&claims, "/organization", json!(["globex"])),
            &changed(&claims, "/organization", json!(["acme", "globex"])),
        );
    }

    /// Session tokens have no audience: the issuer is the instance.
    #[pg_test]
    fn clerk_version_1() {
        let claims = json!({
            "azp": "https://example.com", "nbf": 1_713_158_400, "sid": "sess_123",
            "org_id": "org_123", "org_slug": "acme", "org_role": "org:admin",
            "org_permissions": ["org:admin:example_permission"],
        });
        Provider {
            issuer: "https://clerk.example.com",
            algorithm: Algorithm::RS256,
            arguments: "select tenancy.add_issuer('https://clerk.example.com', null, KEYS,
                tenant_claim => '{org_id}', tenant_by => 'external')",
            subject: "user_123",
            organization: Some("org_123"),
            claims: claims.clone(),
        }
        .try_out(
            &changed(&claims, "/org_id", json!("org_456")),
            &without(&claims, "org_id"),
        );
    }

    /// Everything about the organization is in `o`, which is there while one is active.
    #[pg_test]
    fn clerk_version_2() {
        let claims = json!({
            "azp": "https://example.com", "fva": [7, -1], "jti": "1234567890", "nbf": 1_713_158_400,
            "sid": "sess_123", "v": 2, "pla": "o:pro", "fea": "o:dashboard,o:impersonation", "sts": "active",
            "o": {"id": "org_123", "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3,2"},
        });
        Provider {
            issuer: "https://clerk.example.com",
            algorithm: Algorithm::RS256,
            arguments: "select tenancy.add_issuer('https://clerk.example.com', null, KEYS,
                tenant_claim => '{o,slg}', tenant_by => 'slug')",
            subject: "user_123",
            organization: None,
            claims: claims.clone(),
        }
        .try_out(
            &changed(&claims, "/o/slg", json!("globex")),
            &without(&claims, "o"),
        );
    }

    /// The tenant stands in app_metadata, which people can't edit; user_metadata they can.
    #[pg_test]
    fn supabase() {
        let claims = json!({
            "aal": "aal1", "amr": [{"method": "password", "timestamp": 1_640_991_600}],
            "app_metadata": {"provider": "email", "providers": ["email"], "tenant": "acme"},
            "aud": "authenticated", "email": "ann@acme.example", "phone": "", "role": "authenticated",
            "session_id": "123e4567-e89b-12d3-a456-426614174000",
            "user_metadata": {"name": "Ann", "tenant": "globex"}, "is_anonymous": false,
        });
        Provider {
            issuer: "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
            algorithm: Algorithm::ES256,
            arguments: "select tenancy.add_issuer('https://abcdefghijklmnopqrst.supabase.co/auth/v1', 'authenticated', KEYS,
                tenant_claim => '{app_metadata,tenant}', tenant_by => 'slug')",
            subject: "123e4567-e89b-12d3-a456-426614174000",
            organization: None,
            claims: claims.clone(),
        }
        .try_out(
            &changed(&claims, "/app_metadata/tenant", json!("globex")),
            &changed(&claims, "/app_metadata", json!({"provider": "email"})),
        );
    }

    /// Neon Auth (Better Auth): Ed25519, the origin as issuer and audience.
    #[pg_test]
    fn neon() {
        let claims = json!({
            "name": "Ann", "email": "ann@acme.example", "emailVerified": false, "image": null,
            "createdAt": "2025-12-20T11:04:41.437Z", "updatedAt": "2025-12-20T11:04:41.437Z",
            "role": "authenticated", "banned": false, "banReason": null, "banExpires": null,
            "id": "860dc360-609f-4b7d-9e70-ec93fe6414d3",
            "aud": "https://ep-xx.neonauth.us-east-1.aws.neon.tech",
            "o": {"id": "org-123", "slug": "acme", "role": "owner"},
        });
        Provider {
            issuer: "https://ep-xx.neonauth.us-east-1.aws.neon.tech",
            algorithm: Algorithm::EdDSA,
            arguments: "select tenancy.add_issuer('https://ep-xx.neonauth.us-east-1.aws.neon.tech',
                'https://ep-xx.neonauth.us-east-1.aws.neon.tech', KEYS,
                tenant_claim => '{o,id}', tenant_by => 'external')",
            subject: "860dc360-609f-4b7d-9e70-ec93fe6414d3",
            organization: Some("org-123"),
            claims: claims.clone(),
        }
        .try_out(
            &changed(&claims, "/o/id", json!("org-456")),
            &without(&claims, "o"),
        );
    }
}
