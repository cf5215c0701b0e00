//! People: somebody who registered a tenant, is logged in, and sends requests.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Answer, Api};

pub const PASSWORD: &str = "password123";

pub struct Person<'a> {
    api: &'a Api,
    pub email: String,
    pub token: String,
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
        let answer = self.login(email).await.with_status(200).json();
        let text = |value: &Value| {
            value
                .as_str()
                .expect("a login answers with texts")
                .to_owned()
        };
        Person {
            api: self,
            email: email.to_owned(),
            token: text(&answer["access_token"]),
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

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
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
