//! Where a person is logged in, and the end of it.

use super::{Route, id};
use crate::openapi::operation::Operation;
use crate::openapi::schema::reference;
use crate::openapi::shape;

pub fn routes() -> Vec<Route> {
    vec![
        ("/me", "get", me()),
        ("/auth/sessions", "get", list()),
        ("/auth/sessions/{id}", "delete", end_one()),
        ("/auth/logout", "post", logout()),
        ("/auth/logout-all", "post", logout_all()),
        ("/tenants/revoke-sessions", "post", revoke_tenant()),
    ]
}

fn me() -> Operation {
    Operation::new("getMe", "Sessions", "Who am I, and where?")
        .describe("`user` and `role` are null for a token that stands for nobody.")
        .answers(
            200,
            "The caller, their tenant, their role.",
            reference("Me"),
            &[],
        )
}

fn list() -> Operation {
    let sessions = shape::page(reference("Session"), &[], &[]);
    Operation::new("listSessions", "Sessions", "The caller's sessions")
        .describe("In all their tenants, last used first.")
        .answers_page("The sessions.", sessions, &[])
}

fn end_one() -> Operation {
    let operation = Operation::new("endSession", "Sessions", "End one of the caller's sessions")
        .answers_nothing(204, "Ended.", &[])
        .fails(&["TN024"]);
    id(operation, "id", "A session of the caller's.")
}

fn logout() -> Operation {
    Operation::new("logout", "Sessions", "End this session")
        .describe("From the next request on its tokens are refused, everywhere.")
        .answers_nothing(204, "Ended.", &[])
}

fn logout_all() -> Operation {
    Operation::new(
        "logoutEverywhere",
        "Sessions",
        "End all the caller's sessions",
    )
    .describe("In all their tenants.")
    .answers_nothing(204, "Ended.", &[])
}

fn revoke_tenant() -> Operation {
    Operation::new(
        "revokeTenantSessions",
        "Sessions",
        "End everybody's sessions in this tenant",
    )
    .describe("The caller's too; API keys stay. For owners and admins.")
    .answers_nothing(204, "Ended.", &[])
    .fails(&["TN203", "TN207", "TN204"])
}
