//! `make bench-http`: the service against the floor, each a process of its own on one
//! database, in turns.

mod compare;

use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::{Api, Database, free_port};

use self::compare::compare;
use crate::data::{self, Tenant};
use crate::load::{self, Answers, request};
use crate::report::{Report, Target, median, percentile};
use crate::{Options, machine};

const TASKS: &str = include_str!("../../../../bench/tasks.sql");

/// Whom the load goes to.
struct Server {
    port: u16,
    process: u32,
}

pub async fn measure(options: &Options, report: &mut Report) {
    let cluster = data::cluster().await;
    let database = data::database(cluster, options.scaled(1_000, 100), 1, 0).await;
    let api = Api::on(&database).start().await;
    let service = Server {
        port: api.port(),
        process: api.process(),
    };
    let email = "somebody@example.org";
    api.register("Somebody", email).await.with_status(201);
    prepare(&database).await;
    let tenants: Arc<[Tenant]> = data::tenants(&database, 1_000).await.into();
    let rows = rows(&database, &tenants).await;
    let mut floor = Floor::start(&database).await;

    let list = {
        let tenants = tenants.clone();
        move |n: usize| {
            request(
                "GET",
                "/tasks?limit=20",
                &tenants[n % tenants.len()].token,
                "",
            )
        }
    };
    let get = {
        let (tenants, rows) = (tenants.clone(), rows.clone());
        move |n: usize| {
            let at = n % tenants.len();
            request(
                "GET",
                &format!("/tasks/{}", rows[at]),
                &tenants[at].token,
                "",
            )
        }
    };
    let create = {
        let tenants = tenants.clone();
        move |n: usize| {
            let token = &tenants[n % tenants.len()].token;
            request("POST", "/tasks", token, r#"{"title":"A new one"}"#)
        }
    };
    let both = [&service, &floor.server];
    let postgres = cluster.process();
    compare(
        "list 20",
        "HTTP/1.1 200",
        list.clone(),
        both,
        postgres,
        options,
        report,
    )
    .await;
    compare(
        "get by id",
        "HTTP/1.1 200",
        get,
        both,
        postgres,
        options,
        report,
    )
    .await;
    compare(
        "create",
        "HTTP/1.1 201",
        create,
        both,
        postgres,
        options,
        report,
    )
    .await;
    let memory = [machine::memory(service.process)];
    let of_floor = json!({"floor": machine::memory(floor.server.process)});
    report.add(
        "service, memory after that load",
        "MiB",
        &memory,
        Target::AtMost(40.0),
        of_floor,
    );
    logins(&service, email, list, options, report).await;
    floor.stop();
    drop(api);
    cold_start(&database, &tenants[0], options, report).await;
}

async fn prepare(database: &Database) {
    let admin = database.superuser().await;
    // One hash for all; the person whom the service has just registered has a good one.
    let hash: String = admin
        .query_one(
            "select password_hash from tenancy.users where password_hash is not null",
            &[],
        )
        .await
        .expect("somebody has registered")
        .get(0);
    for sql in [&TASKS.replace("{hash}", &hash), "vacuum analyze"] {
        admin
            .batch_execute(sql)
            .await
            .expect("the data can be made");
    }
}

/// A task of each tenant, which both tables have.
async fn rows(database: &Database, tenants: &[Tenant]) -> Arc<[uuid::Uuid]> {
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
    let sql = "select (select t.id from bench.tasks as t where t.tenant_id = i.id limit 1)
               from unnest($1::uuid[]) with ordinality as i (id, n) order by n";
    let admin = database.superuser().await;
    let found = admin.query(sql, &[&ids]).await.expect("tasks");
    found.iter().map(|row| row.get(0)).collect()
}

/// What lists wait while 50 clients log in without pause.
async fn logins(
    service: &Server,
    email: &str,
    list: impl Fn(usize) -> Vec<u8> + Clone + Send + 'static,
    options: &Options,
    report: &mut Report,
) {
    const NAME: &str = "service, list 20 while 50 log in: p99 ÷ quiet";
    if !options.wants(NAME) {
        return;
    }
    let body = json!({"email": email, "password": tests::PASSWORD}).to_string();
    let port = service.port;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    let p99 = |answers: &Answers| percentile(&answers.times, 0.99);
    for _ in 0..options.rounds {
        let duration = Duration::from_secs_f64(2.0 * options.seconds);
        let quiet = load::run(port, 4, duration, "HTTP/1.1 200", list.clone()).await;
        let body = body.clone();
        let log_in = move |_| request("POST", "/auth/login", "-", &body);
        // Some are sent away with 503: the queue of passwords has an end.
        let logins = tokio::spawn(load::run(port, 50, duration, "HTTP/1.1", log_in));
        let busy = load::run(port, 4, duration, "HTTP/1.1 200", list.clone()).await;
        ratios.push(p99(&busy) / p99(&quiet));
        rates.push(logins.await.expect("they log in").per_second());
    }
    let more = json!({"loginsPerSecond": median(&rates)});
    report.add(NAME, "", &ratios, Target::AtMost(3.0), more);
}

/// From the start of the process to the first answer with rows.
async fn cold_start(database: &Database, tenant: &Tenant, options: &Options, report: &mut Report) {
    const NAME: &str = "service, cold start to the first answer";
    if !options.wants(NAME) {
        return;
    }
    let ask = request("GET", "/tasks?limit=20", &tenant.token, "");
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        let since = Instant::now();
        let api = Api::on(database).spawn();
        let took = load::first_answer(api.port(), "HTTP/1.1 200", &ask, since).await;
        times.push(took.as_secs_f64() * 1e3);
    }
    report.add(NAME, "ms", &times, Target::AtMost(300.0), json!({}));
}

/// This very program, as the floor.
struct Floor {
    child: Child,
    server: Server,
}

impl Floor {
    async fn start(database: &Database) -> Self {
        let port = free_port();
        let login = &database.api_login;
        let child = Command::new(std::env::current_exe().expect("a program knows its path"))
            .arg("floor")
            .env("DB_HOST", "127.0.0.1")
            .env("DB_PORT", database.cluster.port().to_string())
            .env("DB_USERNAME", &login.name)
            .env("DB_PASSWORD", &login.password)
            .env("DB_NAME", &database.name)
            .env("JWT_SECRET", &database.cluster.jwt_secret)
            .env("PORT", port.to_string())
            .spawn()
            .expect("the floor can be started");
        let process = child.id();
        load::first_answer(
            port,
            "HTTP/1.1 401",
            &request("GET", "/tasks", "-", ""),
            Instant::now(),
        )
        .await;
        Self {
            child,
            server: Server { port, process },
        }
    }

    fn stop(&mut self) {
        // Errors would only mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop();
    }
}
