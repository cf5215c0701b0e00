//! Who is in the tenant, and who is invited.

use serde_json::json;

use super::accounts::new_password;
use super::{Route, example, id, page, pages};
use crate::openapi::operation::Operation;
use crate::openapi::schema::{given_text, nullable, object, reference};

/// What managing people may be refused for.
const MANAGING: &[&str] = &["TN201", "TN203", "TN204", "TN207"];

pub fn routes() -> Vec<Route> {
    vec![
        ("/members", "get", list()),
        ("/members/me", "delete", leave()),
        ("/members/{userId}", "patch", update()),
        ("/members/{userId}", "delete", remove()),
        ("/invitations", "get", list_invitations()),
        ("/invitations", "post", invite()),
        ("/invitations/{id}", "delete", revoke()),
        ("/invitations/peek", "post", peek()),
        ("/invitations/accept", "post", accept()),
    ]
}

fn list() -> Operation {
    let operation = Operation::new("listMembers", "People", "The people of this tenant")
        .describe("Newest account first.")
        .answers_page("A page.", page("Member"), &[]);
    pages(operation)
}

fn update() -> Operation {
    let operation = Operation::new("updateMember", "People", "Give a member another role")
        .describe("For owners and admins; owners are made and demoted by owners alone.")
        .body(
            object(&[("role", reference("Role"))], &[]),
            example(json!({"role": "viewer"})),
        )
        .answers(200, "The member.", reference("Member"), &[])
        .fails(MANAGING)
        .fails(&["TN202", "TN205", "TN206"]);
    id(operation, "userId", "A member.")
}

fn remove() -> Operation {
    let operation = Operation::new("removeMember", "People", "Take a person out of this tenant")
        .answers_nothing(204, "Removed.", &[])
        .fails(MANAGING)
        .fails(&["TN202", "TN205", "TN413"]);
    id(operation, "userId", "A member.")
}

fn leave() -> Operation {
    Operation::new("leaveTenant", "People", "Leave this tenant")
        .answers_nothing(204, "Left.", &[])
        .fails(&["TN202", "TN413"])
}

fn list_invitations() -> Operation {
    let operation = Operation::new("listInvitations", "People", "The open invitations")
        .describe("Newest first, expired ones among them.")
        .answers_page("A page.", page("Invitation"), &[])
        .fails(MANAGING);
    pages(operation)
}

fn invite() -> Operation {
    let body = object(
        &[("email", reference("Email")), ("role", reference("Role"))],
        &[],
    );
    Operation::new("inviteMember", "People", "Invite somebody, by a mail")
        .describe("A new invitation for the same address makes the old one void. The token goes by mail and is in no answer.")
        .body(body, example(json!({"email": "bob@example.com", "role": "member"})))
        .answers(201, "Invited.", reference("Invited"), &[])
        .fails(MANAGING)
        .fails(&["TN105", "TN206", "TN301", "no_mailer", "busy", "too_many_requests"])
}

fn revoke() -> Operation {
    let operation = Operation::new("revokeInvitation", "People", "Take an invitation back")
        .answers_nothing(204, "Revoked.", &[])
        .fails(MANAGING)
        .fails(&["TN303"]);
    id(operation, "id", "An open invitation.")
}

fn peek() -> Operation {
    Operation::new("peekInvitation", "People", "What an invitation says")
        .describe("To who has its token: for the page that asks to accept it.")
        .without_token()
        .body(
            object(&[("token", given_text())], &[]),
            example(json!({"token": "pgi_…"})),
        )
        .answers(200, "The invitation.", reference("OfferedInvitation"), &[])
        .fails(&[
            "invalid_request",
            "TN004",
            "TN302",
            "TN303",
            "too_many_requests",
        ])
}

fn accept() -> Operation {
    let body = object(
        &[("token", given_text())],
        &[("password", nullable(new_password()))],
    );
    let example = example(json!({"token": "pgi_…", "password": "correct horse"}));
    Operation::new("acceptInvitation", "People", "Accept an invitation")
        .describe("A new person chooses a password; who has an account sends a token instead, as everywhere.")
        .token_is_optional()
        .body(body, example)
        .answers(201, "A member now.", reference("Accepted"), &[])
        .fails(&["TN301", "TN302", "TN303", "TN304", "TN305", "TN306", "too_many_requests", "busy"])
}
