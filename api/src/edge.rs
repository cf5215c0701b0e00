//! What every answer has in common: a request id, safe headers, one form of error,
//! an end in time, and a line in the log.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::app::App;
use crate::envelope::Envelope;
use crate::front;
use crate::headers;
use crate::limiter;
use crate::metrics::{Answered, Metrics};
use crate::notes::Notes;
use crate::problem::{Problem, Result};
use crate::request_id::{HEADER as REQUEST_ID, RequestId};
use crate::route_label::route_label;
use crate::trace::RequestSpan;

/// Logged for a client that hung up before its answer, as nginx does.
const HUNG_UP: u16 = 499;

/// Puts the edge around a router, and around whatever panics in it.
pub fn around(router: Router, app: App) -> Router {
    router.layer(from_fn_with_state(app, edge))
}

/// The same for the public's router: a request has to pass the front first.
pub fn around_public(router: Router, app: App) -> Router {
    router.layer(from_fn_with_state(app, public_edge))
}

fn edge(State(app): State<App>, request: Request, next: Next) -> impl Future<Output = Response> {
    answered(app, request, next, |_, _| Ok(()))
}

fn public_edge(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    answered(app, request, next, front::pass)
}

/// What a request is answered by what is inside of the edge, if it may pass, with all that
/// the edge adds.
///
/// What happens before anybody waits happens outside of the future, which is held as long
/// as the request is: an async function would hold its parameters twice.
fn answered(
    app: App,
    mut request: Request,
    next: Next,
    pass: fn(&App, &Request) -> Result<()>,
) -> impl Future<Output = Response> {
    let id = RequestId::of(request.headers());
    let notes = Notes::default();
    request.extensions_mut().insert(notes.clone());
    let route = route_label(&request, &app.catalog());
    let span = RequestSpan::start(request.method(), &route, request.headers());
    let mut line = Line {
        notes,
        metrics: app.metrics().cloned(),
        method: request.method().clone(),
        route,
        span,
        id: id.clone(),
        started: Instant::now(),
        status: HUNG_UP,
        problem: None,
    };

    let envelope = Envelope::of(app.shape(), &mut request);

    async move {
        // Pinned here: whatever it is handed to would take it along in its own future, twice.
        let inside = pin!(async {
            match pass(&app, &request) {
                Ok(()) => next.run(request).await,
                Err(problem) => problem.into_response(),
            }
        });
        let answered = timeout(app.limits().request_timeout, unless_it_panics(inside));
        let mut response = match line.span.around(answered).await {
            Ok(response) => response,
            Err(_) => Problem::unavailable("timeout", "The request took too long.").into_response(),
        };
        if let Some(problem) = problem_of(&mut response) {
            let allow = response.headers_mut().remove(header::ALLOW);
            line.problem = Some(problem.clone());
            response = match &envelope {
                Some(envelope) => envelope.around_problem(problem, id.as_str()),
                None => problem.into_answer(id.as_str()),
            };
            if let Some(allow) = allow {
                response.headers_mut().insert(header::ALLOW, allow);
            }
        } else if let Some(envelope) = &envelope {
            // In a box, because few ask for one.
            response = Box::pin(envelope.around_answer(response, id.as_str())).await;
        }
        line.status = response.status().as_u16();

        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id.into_header());
        headers::secure(headers, app.front().hsts);
        limiter::describe(&line.notes, headers);
        let caching = caching(headers);
        headers.entry(header::CACHE_CONTROL).or_insert(caching);
        if headers.contains_key(header::ETAG) {
            headers.append(header::VARY, app.naming().vary());
        }
        response
    }
}

/// Everything here is one person's own, or about this moment. What has a tag may be kept
/// by that person's client, which has to ask each time whether it is still good.
fn caching(headers: &HeaderMap) -> HeaderValue {
    HeaderValue::from_static(match headers.contains_key(header::ETAG) {
        true => "private, no-cache",
        false => "no-store",
    })
}

/// The problem that a handler returned, or one for an error answer that came from elsewhere.
fn problem_of(response: &mut Response) -> Option<Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    is_error.then(|| Problem::of_status(status))
}

/// A panic is a defect; the answer says nothing of it. What panicked is never looked at again.
async fn unless_it_panics(mut answer: Pin<&mut impl Future<Output = Response>>) -> Response {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            Poll::Ready(Problem::internal("a handler panicked").into_response())
        })
    })
    .await
}

/// The request's line in the log. Written when it is dropped: a client that hangs up
/// drops the request in the middle, and has its line too.
struct Line {
    notes: Notes,
    metrics: Option<Metrics>,
    span: RequestSpan,
    method: Method,
    /// The template: a path or a query may hold anything.
    route: String,
    id: RequestId,
    started: Instant,
    status: u16,
    problem: Option<Problem>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let method = match self.method.as_str() {
            // A client may invent one, as long as a header.
            invented if invented.len() > 16 => "-",
            method => method,
        };
        let route = &self.route;
        let status = self.status;
        let elapsed = self.started.elapsed();
        let latency_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let request_id = self.id.as_str();
        let code = self.problem.as_ref().map(|problem| &*problem.code);
        let reason = self
            .problem
            .as_ref()
            .and_then(|problem| problem.reason.as_deref());
        self.span.end(status, code);
        let trace_id = self.span.trace_id();
        let trace_id = trace_id.as_deref();
        if let Some(metrics) = &self.metrics {
            metrics.answered(&Answered {
                method: &self.method,
                route: &self.route,
                status,
                code,
                after: elapsed,
                tenant: self.notes.tenant(),
            });
        }
        match status {
            500 => {
                tracing::error!(
                    method, route, status, latency_us, request_id, trace_id, code, reason,
                    "request"
                );
            }
            501.. => {
                tracing::warn!(
                    method, route, status, latency_us, request_id, trace_id, code, reason,
                    "request"
                );
            }
            _ => {
                tracing::info!(
                    method, route, status, latency_us, request_id, trace_id, code, reason,
                    "request"
                );
            }
        }
    }
}
