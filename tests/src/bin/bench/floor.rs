//! The floor: what somebody would write who has no isolation and wants speed.
//!
//! axum, a pool, prepared statements, one query a request with a hand-written WHERE, no
//! transaction, no RLS; the token is verified, as any service must.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::{Deserialize, Serialize};
use tokio_postgres::{NoTls, Row};
use uuid::Uuid;

#[derive(Clone)]
struct App {
    pool: Pool,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "tenantId")]
    tenant_id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    id: Uuid,
    project_id: Option<Uuid>,
    assignee_id: Option<Uuid>,
    title: String,
    description: Option<String>,
    status: String,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct Page {
    data: Vec<Task>,
    page: u32,
    limit: i64,
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<i64>,
}

#[derive(Deserialize)]
struct NewTask {
    title: String,
}

type Answer<T> = Result<T, StatusCode>;

// Times as texts in ISO 8601, as the service has them.
const COLUMNS: &str = "id, project_id, assignee_id, title, description, status,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
    to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// Serves until it is killed, with the settings of the service.
pub async fn serve() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let mut config = tokio_postgres::Config::new();
    config
        .host(setting("DB_HOST"))
        .port(setting("DB_PORT").parse().expect("a port"))
        .user(setting("DB_USERNAME"))
        .password(setting("DB_PASSWORD"))
        .dbname(setting("DB_NAME"));
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(config, NoTls, recycling);
    let pool = Pool::builder(manager).max_size(10).build().expect("a pool");
    let app = App {
        pool,
        key: DecodingKey::from_secret(setting("JWT_SECRET").as_bytes()),
    };
    let routes = Router::new()
        .route("/tasks", get(list).post(create))
        .route("/tasks/{id}", get(read))
        .with_state(app);
    let address = format!("127.0.0.1:{}", setting("PORT"));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("the port is free");
    axum::serve(listener, routes).await.expect("it serves");
}

impl App {
    fn tenant(&self, headers: &HeaderMap) -> Answer<Uuid> {
        let token = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let claims = decode::<Claims>(token, &self.key, &Validation::new(Algorithm::HS256))
            .map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(claims.claims.tenant_id)
    }

    async fn client(&self) -> Answer<Object> {
        self.pool
            .get()
            .await
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    }
}

async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<Limit>,
) -> Answer<Json<Page>> {
    let tenant = app.tenant(&headers)?;
    let limit = query.limit.unwrap_or(20);
    let client = app.client().await?;
    let sql =
        format!("select {COLUMNS} from bench.tasks where tenant_id = $1 order by id desc limit $2");
    let statement = client.prepare_cached(&sql).await.map_err(failed)?;
    let rows = client
        .query(&statement, &[&tenant, &limit])
        .await
        .map_err(failed)?;
    Ok(Json(Page {
        data: rows.iter().map(task).collect(),
        page: 1,
        limit,
    }))
}

async fn read(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Answer<Json<Task>> {
    let tenant = app.tenant(&headers)?;
    let client = app.client().await?;
    let sql = format!("select {COLUMNS} from bench.tasks where tenant_id = $1 and id = $2");
    let statement = client.prepare_cached(&sql).await.map_err(failed)?;
    let row = client
        .query_opt(&statement, &[&tenant, &id])
        .await
        .map_err(failed)?;
    row.as_ref()
        .map(|row| Json(task(row)))
        .ok_or(StatusCode::NOT_FOUND)
}

async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Json(new): Json<NewTask>,
) -> Answer<(StatusCode, Json<Task>)> {
    let tenant = app.tenant(&headers)?;
    let client = app.client().await?;
    let sql =
        format!("insert into bench.tasks (tenant_id, title) values ($1, $2) returning {COLUMNS}");
    let statement = client.prepare_cached(&sql).await.map_err(failed)?;
    let row = client
        .query_one(&statement, &[&tenant, &new.title])
        .await
        .map_err(failed)?;
    Ok((StatusCode::CREATED, Json(task(&row))))
}

fn failed(_: tokio_postgres::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

fn task(row: &Row) -> Task {
    Task {
        id: row.get(0),
        project_id: row.get(1),
        assignee_id: row.get(2),
        title: row.get(3),
        description: row.get(4),
        status: row.get(5),
        created_at: row.get(6),
        updated_at: row.get(7),
    }
}
