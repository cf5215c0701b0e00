//! How many attempts there may be to log in, refresh, accept an invitation or reset a password.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use governor::Quota;
use ipnet::IpNet;

/// Limits on attempts: so many at once, and then as many in each span of time.
#[derive(Args, Clone, Debug)]
pub struct AttemptSettings {
    /// Logins per address: 30/min, 5/h, 100/day, or off.
    #[arg(long, env = "LOGIN_LIMIT_ADDRESS", default_value = "30/min", value_parser = rate)]
    pub login_limit_address: Rate,

    /// Logins per account, whether there is one or not.
    #[arg(long, env = "LOGIN_LIMIT_ACCOUNT", default_value = "10/min", value_parser = rate)]
    pub login_limit_account: Rate,

    /// Refreshes per address.
    #[arg(long, env = "REFRESH_LIMIT_ADDRESS", default_value = "120/min", value_parser = rate)]
    pub refresh_limit_address: Rate,

    /// Refreshes per refresh token.
    #[arg(long, env = "REFRESH_LIMIT_TOKEN", default_value = "5/min", value_parser = rate)]
    pub refresh_limit_token: Rate,

    /// Invitations made, looked at or accepted per address.
    #[arg(long, env = "INVITATION_LIMIT_ADDRESS", default_value = "30/min", value_parser = rate)]
    pub invitation_limit_address: Rate,

    /// Invitations looked at or accepted per invitation, and made per invited address.
    #[arg(long, env = "INVITATION_LIMIT_TOKEN", default_value = "10/min", value_parser = rate)]
    pub invitation_limit_token: Rate,

    /// Password resets, asked for or finished, per address.
    #[arg(long, env = "RESET_LIMIT_ADDRESS", default_value = "20/min", value_parser = rate)]
    pub reset_limit_address: Rate,

    /// Password resets asked for per account, whether there is one or not, and finished per token.
    #[arg(long, env = "RESET_LIMIT_ACCOUNT", default_value = "5/h", value_parser = rate)]
    pub reset_limit_account: Rate,

    /// Addresses and accounts that each limit remembers one by one; beyond it they share.
    #[arg(long, env = "LIMIT_MEMORY", default_value_t = 100_000)]
    pub limit_memory: usize,

    /// Proxies whose X-Forwarded-For is believed: addresses or networks, with commas.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "", value_parser = networks)]
    pub trusted_proxies: Networks,
}

/// So many at once and in each span of time; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<Quota>);

pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || "must be like 30/min (s, min, h, day), or off".to_owned();
    if text == "off" {
        return Ok(Rate(None));
    }
    let (count, span) = text.split_once('/').ok_or_else(wrong)?;
    let count: NonZeroU32 = count.trim().parse().map_err(|_| wrong())?;
    let seconds = match span.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "day" => 24 * 3600,
        _ => return Err(wrong()),
    };
    Quota::with_period(Duration::from_secs(seconds) / count.get())
        .map(|quota| Rate(Some(quota.allow_burst(count))))
        .ok_or_else(wrong)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

fn networks(text: &str) -> Result<Networks, String> {
    let given = text.split(',').filter(|one| !one.trim().is_empty());
    given.map(network).collect::<Result<_, _>>().map(Networks)
}

/// An address or a network, as `10.0.0.7` or `10.0.0.0/8`.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse()
        .or_else(|_| {
            text.parse()
                .map(|one: std::net::IpAddr| IpNet::from(one.to_canonical()))
        })
        .map_err(|_| "must be an address like 10.0.0.7 or a network like 10.0.0.0/8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_in_a_span() {
        let quota = |text| rate(text).unwrap().0.unwrap();
        assert_eq!(quota("30/min").burst_size().get(), 30);
        assert_eq!(quota("30/min").replenish_interval(), Duration::from_secs(2));
        assert_eq!(quota("5/h").replenish_interval(), Duration::from_secs(720));
        assert_eq!(rate("off"), Ok(Rate(None)));
        for text in [
            "",
            "30",
            "0/min",
            "-1/min",
            "30/year",
            "min",
            "30/",
            "4294967296/s",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for text in ["10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8", " 127.0.0.1 "] {
            assert!(network(text).is_ok(), "{text}");
        }
        for text in ["proxy", "10.0.0.0/33", "10.0.0", "10.0.0.7 10.0.0.8"] {
            assert!(networks(text).is_err(), "{text}");
        }
        assert_eq!(networks("").unwrap().0.len(), 0);
        assert_eq!(networks("10.0.0.7, ::1").unwrap().0.len(), 2);
    }
}
