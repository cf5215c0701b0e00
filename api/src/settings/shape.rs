//! What answers look like.

use clap::{ArgAction, Args, ValueEnum};

use super::switch;

#[derive(Args, Clone, Debug)]
pub struct ShapeSettings {
    /// Answers as they are, or each in an envelope.
    #[arg(long, env = "RESPONSE_STYLE", value_enum, default_value_t = ResponseStyle::Plain)]
    pub response_style: ResponseStyle,

    /// Whether an envelope tells the time.
    #[arg(long, env = "ENVELOPE_TIMESTAMP", default_value = "on", value_parser = switch, action = ArgAction::Set)]
    pub envelope_timestamp: bool,

    /// Whether an envelope tells the path, without its query.
    #[arg(long, env = "ENVELOPE_PATH", default_value = "on", value_parser = switch, action = ArgAction::Set)]
    pub envelope_path: bool,

    /// Whether an envelope tells the request's id, as the header X-Request-Id does.
    #[arg(long, env = "ENVELOPE_REQUEST_ID", default_value = "on", value_parser = switch, action = ArgAction::Set)]
    pub envelope_request_id: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStyle {
    Plain,
    Envelope,
}
