//! People: somebody who registered a tenant, is logged in, and sends requests.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Answer, Api, Mailbox};

pub const PASSWORD: &str = "password123";

pub struct Person<'a> {
    api: &'a Api,
    pub email: String,
    pub token: String,
    pub refresh_token: String,
    pub session_id: String,
    pub user_id: String,
    pub tenant_id: String,
}

impl Api {
    pub async fn register(&self, tenant_name: &str, email: &str) -> Answer {
        let body = json!({"tenantName": tenant_name, "email": email, "password": PASSWORD});
        self.post("/tenants/register", body).await
    }

    pub async fn login(&self, email: &str) -> Answer {
        self.post("/auth/login", json!({"email": email, "password": PASSWORD}))
            .await
    }

    /// A person who has just registered a tenant of this name and logged in.
    pub async fn owner_of(&self, tenant_name: &str) -> Person<'_> {
        let email = format!(
            "owner@{}.example",
            tenant_name.to_lowercase().replace(' ', "-")
        );
        self.register(tenant_name, &email).await.with_status(201);
        self.person(&email).await
    }

    /// A person who logs in with an email that is registered.
    pub async fn person(&self, email: &str) -> Person<'_> {
        let answer = self.login(email).await.with_status(200);
        self.person_of(&answer)
    }

    /// Whoever an answer to a login, refresh or switch is for.
    #[track_caller]
    pub fn person_of(&self, answer: &Answer) -> Person<'_> {
        let answer = answer.json();
        let text = |value: &Value| {
            value
                .as_str()
                .expect("a login answers with texts")
                .to_owned()
        };
        Person {
            api: self,
            email: text(&answer["user"]["email"]),
            token: text(&answer["access_token"]),
            refresh_token: text(&answer["refresh_token"]),
            session_id: text(&answer["session_id"]),
            user_id: text(&answer["user"]["id"]),
            tenant_id: text(&answer["user"]["tenantId"]),
        }
    }
}

impl Person<'_> {
    /// The same person at another API that serves the same data.
    pub fn at<'b>(&self, api: &'b Api) -> Person<'b> {
        Person {
            api,
            email: self.email.clone(),
            token: self.token.clone(),
            refresh_token: self.refresh_token.clone(),
            session_id: self.session_id.clone(),
            user_id: self.user_id.clone(),
            tenant_id: self.tenant_id.clone(),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.api.request(method, path).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PATCH, path).json(&body)).await
    }

    /// A request with headers of its own.
    pub async fn sends(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let request = self.request(method, path);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Answer::to(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// What a refresh with this person's token answers.
    pub async fn refresh(&self) -> Answer {
        let body = json!({"refresh_token": self.refresh_token});
        self.api.post("/auth/refresh", body).await
    }

    /// Somebody who accepts an invitation of this person's, and logs in to their tenant.
    pub async fn invites(&self, mailbox: &Mailbox, email: &str, role: &str) -> Person<'_> {
        self.post("/invitations", json!({"email": email, "role": role}))
            .await
            .with_status(201);
        let token = mailbox.token_for(email).await;
        let body = json!({"token": token, "password": PASSWORD});
        let accepted = self.api.post("/invitations/accept", body).await;
        accepted.with_status(201);
        let body = json!({"email": email, "password": PASSWORD, "tenant": self.tenant_id});
        let login = self.api.post("/auth/login", body).await.with_status(200);
        self.api.person_of(&login)
    }

    /// The id of a new task.
    pub async fn has_task(&self, title: &str) -> String {
        self.post("/tasks", json!({"title": title}))
            .await
            .with_status(201)
            .id()
    }

    /// The titles of the tasks that this person sees, newest first.
    pub async fn tasks(&self) -> Vec<String> {
        self.get("/tasks?limit=100").await.with_status(200).titles()
    }
}
