//! The program: settings, log, one question to the database, then requests.

#![forbid(unsafe_code)]

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use api::app::App;
use api::db::Verdict;
use api::settings::{Limits, Settings};
use api::{keeper, log, routes, serve, trace, watcher};
use clap::Parser;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;

/// A request takes some hundred pieces of memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A collector that is away keeps no process alive.
const LAST_SPANS: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        // The error would quote the line, and the line may hold a secret.
        Err(_) => {
            eprintln!("the file .env can't be read: each line must be NAME=value");
            return ExitCode::FAILURE;
        }
    }
    let settings = Settings::parse();
    let _log = match log::start(&settings.log) {
        Ok(log) => log,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let traces = match trace::start(&settings.trace) {
        Ok(traces) => traces,
        Err(reason) => {
            tracing::error!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let ended = run(&settings);
    traces.finish(LAST_SPANS);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!("{reason}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: &Settings) -> Result<(), String> {
    let app = App::new(settings)?;
    match app.pool().ask(app.tokens()).await {
        Verdict::Accepted => {
            if let Err(reason) = watcher::read(&app).await {
                tracing::warn!(reason, "can't ask the database what is exposed");
            }
        }
        Verdict::Unreachable(reason) => {
            tracing::warn!(
                reason,
                "the database can't be reached; answering 503 until it can"
            );
        }
        Verdict::Refused(reason) => return Err(reason),
    }

    let limits = settings.limits.within_the_systems();
    let ops = match settings.ops.ops_port {
        Some(port) => Some(listen(settings.ops.ops_listen, port, "OPS_PORT").await?),
        None => None,
    };
    let listener = listen(settings.listen, settings.port, "PORT").await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        "listening on http://{address}"
    );

    if app.mailer().check().is_err() {
        tracing::warn!(
            "neither MAIL_WEBHOOK_URL nor MAIL_TO_LOG is set: nobody can be invited, and no password reset"
        );
    }

    let router = routes::router(app.clone());
    let stop = async {
        if let Err(error) = serve::stop_signal().await {
            tracing::error!(%error, "can't wait for signals");
        }
    };
    let ended = tokio::select! {
        () = serve::serve(listener, router, &limits, stop) => Ok(()),
        reason = app.pool().keep_asking(app.tokens()) => Err(reason),
        () = serve_ops(ops, &app, &limits) => Err("the second port's listener ended".to_owned()),
        () = keeper::keep(&app) => Err("the keeper ended".to_owned()),
        () = watcher::watch(&app) => Err("the watcher ended".to_owned()),
    };
    let limit = settings.limits.shutdown_timeout;
    let undone = app.resets().finish(limit).await + app.mailer().finish(limit).await;
    if undone > 0 {
        tracing::error!(
            undone,
            "invitations or password resets were not mailed in time"
        );
    }
    ended
}

async fn listen(address: IpAddr, port: u16, setting: &str) -> Result<TcpListener, String> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|error| {
        format!("can't listen on {address}: {error}; choose another port with {setting}")
    })
}

/// As long as the service lives: who watches it end must see it.
async fn serve_ops(listener: Option<TcpListener>, app: &App, limits: &Limits) {
    let Some(listener) = listener else {
        return pending().await;
    };
    serve::serve(listener, routes::ops_router(app.clone()), limits, pending()).await;
}
