//! The API describes itself, and what it says works.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Mailbox, Person, World};

/// Everything that the description gives an example of a body for: path, method, examples.
struct Examples(BTreeMap<String, (String, Method, Vec<Value>)>);

impl Examples {
    async fn of(api: &Api) -> Self {
        let description = api.get("/openapi.json").await.with_status(200).json();
        let mut examples = BTreeMap::new();
        for (path, operations) in description["paths"].as_object().expect("there are paths") {
            for (method, operation) in operations.as_object().expect("there are operations") {
                let content = &operation["requestBody"]["content"]["application/json"];
                let Some(given) = content["examples"].as_object() else {
                    continue;
                };
                let id = operation["operationId"].as_str().expect("it has a name");
                let method: Method = method.to_uppercase().parse().expect("a method");
                let bodies = given.values().map(|example| example["value"].clone());
                let example = (path.clone(), method, bodies.collect());
                examples.insert(id.to_owned(), example);
            }
        }
        Self(examples)
    }
}

/// Somebody who does what the examples say, each once.
struct Reader<'a> {
    api: &'a Api,
    examples: &'a Examples,
    person: Option<Person<'a>>,
    done: BTreeSet<String>,
}

impl Reader<'_> {
    /// Sends an operation's example (the first or another one), with what an example can't
    /// know: ids and tokens. It succeeds.
    async fn does(&mut self, operation: &str, which: usize, id: &str, known: Value) -> Answer {
        let (path, method, bodies) = &self.examples.0[operation];
        let mut body = bodies[which].clone();
        let rows = match &mut body {
            Value::Array(rows) => rows.iter_mut().collect(),
            row => vec![row],
        };
        for row in rows {
            for (name, value) in known.as_object().expect("an object") {
                assert!(row.get(name).is_some(), "{operation} has no {name}");
                row[name] = value.clone();
            }
        }
        let path = path.replace("{id}", id).replace("{userId}", id);
        let request = match &self.person {
            Some(person) => person.request(method.clone(), &path),
            None => self.api.request(method.clone(), &path),
        };
        let answer = Answer::to(request.json(&body)).await;
        let is_good = (200..300).contains(&answer.status);
        assert!(is_good, "{operation}: {}", answer.text());
        self.done.insert(operation.to_owned());
        answer
    }

    /// Comes in by the examples of registration and login.
    async fn logs_in(&mut self) {
        let login = self.does("login", 0, "", json!({})).await;
        self.person = Some(self.api.person_of(&login));
    }

    async fn makes_rows(&mut self) {
        self.does("createProject", 0, "", json!({})).await;
        let task = self.does("createTask", 0, "", json!({})).await.id();
        self.does("updateTask", 0, &task, json!({})).await;
        let student = self.does("createStudent", 0, "", json!({})).await.id();
        self.does("updateStudent", 0, &student, json!({})).await;
        self.does("createCourse", 0, "", json!({})).await;
        self.does("updateCourse", 0, "Example", json!({})).await;
        let known = json!({"studentId": student});
        self.does("createEnrolment", 0, "", known).await;
        let enrolment = format!("{student},Example");
        self.does("updateEnrolment", 0, &enrolment, json!({})).await;
        let sample = self.does("createSample", 0, "", json!({})).await;
        let sample = sample.json()["id"].to_string();
        self.does("updateSample", 0, &sample, json!({})).await;
        let project = self.does("createProject", 1, "", json!({})).await;
        let project = project.json()[0]["id"].clone();
        let project = project.as_str().expect("a uuid");
        self.does("updateProject", 0, project, json!({})).await;
        for operation in ["createTask", "createStudent", "createSample"] {
            self.does(operation, 1, "", json!({})).await;
        }
    }

    async fn calls_functions(&mut self) {
        let student = self.does("createStudent", 0, "", json!({})).await.id();
        let known = json!({"studentId": student});
        self.does("callEnrol", 0, "", known).await;
        let sum = self.does("callAddUp", 0, "", json!({})).await;
        assert_eq!(sum.json(), json!(1));
        self.does("callGrades", 0, "", json!({})).await;
    }

    async fn manages(&mut self, mailbox: &Mailbox) {
        self.does("createApiKey", 0, "", json!({})).await;
        self.does("inviteMember", 0, "", json!({})).await;
        let token = mailbox.token_for("bob@example.com").await;
        let owner = self.person.take();
        let known = json!({"token": token});
        self.does("peekInvitation", 0, "", known.clone()).await;
        let bob = self.does("acceptInvitation", 0, "", known).await.json();
        self.person = owner;
        let bob = bob["user"]["id"].as_str().expect("a uuid").to_owned();
        self.does("updateMember", 0, &bob, json!({})).await;
    }

    async fn stays_logged_in(&mut self, mailbox: &Mailbox) {
        self.does("switchTenant", 0, "", json!({})).await;
        let token = self
            .person
            .as_ref()
            .map(|person| person.refresh_token.clone());
        self.does("refreshSession", 0, "", json!({"refresh_token": token}))
            .await;
        self.does("changePassword", 0, "", json!({})).await;
        self.person = None;
        self.does("forgetPassword", 0, "", json!({})).await;
        let token = mailbox.token_for("ann@acme.example").await;
        self.does("resetPassword", 0, "", json!({"token": token}))
            .await;
        self.logs_in().await;
    }
}

#[tokio::test]
async fn every_example_of_a_body_works() {
    let (world, mailbox) = World::with_samples().await;
    let examples = Examples::of(&world.api).await;
    let mut ann = Reader {
        api: &world.api,
        examples: &examples,
        person: None,
        done: BTreeSet::new(),
    };
    ann.does("registerTenant", 0, "", json!({})).await;
    ann.logs_in().await;
    ann.makes_rows().await;
    ann.calls_functions().await;
    ann.manages(&mailbox).await;
    ann.stays_logged_in(&mailbox).await;

    let described: BTreeSet<String> = examples.0.keys().cloned().collect();
    assert_eq!(ann.done, described);
}

#[tokio::test]
async fn the_description_follows_what_is_exposed() {
    let world = World::new().await;
    let first = world.api.get("/openapi.json").await.with_status(200);
    assert_eq!(first.json()["openapi"], "3.1.0");
    assert!(first.json()["paths"]["/tasks"].is_object());
    let tag = first.header("etag").to_owned();
    let again = || {
        let request = world.api.request(Method::GET, "/openapi.json");
        Answer::to(request.header("if-none-match", &tag))
    };
    again().await.with_status(304);

    let dba = world.database.superuser().await;
    dba.batch_execute("select tenancy.hide_table('tasks')")
        .await
        .expect("a resource can be hidden");
    let changed = loop {
        let answer = again().await;
        if answer.status != 304 {
            break answer.with_status(200).json();
        }
    };
    assert!(changed["paths"]["/tasks"].is_null());
    assert!(changed["paths"]["/projects"].is_object());
}

#[tokio::test]
async fn the_description_tells_nobody_what_a_tenant_has() {
    let world = World::new().await;
    let ann = world.api.owner_of("Unmentioned").await;
    ann.has_task("Unmentioned, too").await;
    let text = world.api.get("/openapi.json").await.text();
    for told in ["nmentioned", &ann.tenant_id, &ann.user_id] {
        assert!(!text.contains(told), "{told}");
    }
}

#[tokio::test]
async fn an_operator_can_hide_the_description() {
    let database = tests::Database::new().await;
    let api = Api::on(&database).set("DOCS", "off").start().await;
    for path in ["/openapi.json", "/docs", "/docs/", "/docs/index.html"] {
        let answer = api.get(path).await.with_status(404);
        assert_eq!(answer.code(), "no_such_route", "{path}");
    }
    let api = Api::on(&database).start().await;
    for path in ["/docs", "/docs/swagger-ui-bundle.js"] {
        let page = api.get(path).await.with_status(200);
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
    for path in ["/docs/..%2f..%2fetc%2fpasswd", "/docs/nothing.js"] {
        api.get(path).await.with_status(404);
    }
}
