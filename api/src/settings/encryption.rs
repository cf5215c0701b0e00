//! How connections to the database are encrypted: `sslmode` and `sslrootcert`, as libpq means them.
//!
//! tokio-postgres reads three of the modes from a URL and refuses the others, so both
//! are taken out of the URL here.

use std::path::PathBuf;

use clap::ValueEnum;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Where the server offers it. An attacker in between can make it not offer it.
    Prefer,
    /// Always, whoever the server is; with DB_SSLROOTCERT, as verify-ca.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority for the host's name.
    VerifyFull,
}

/// Who may vouch for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    System,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    Disable,
    Prefer,
    Require,
    VerifyCa(Authorities),
    VerifyFull(Authorities),
}

impl Encryption {
    /// What a mode and a file come to. Fails where they would promise more than they hold.
    pub fn new(mode: SslMode, root_certificates: Option<&str>) -> Result<Self, String> {
        let authorities = root_certificates.map(|given| match given {
            "system" => Authorities::System,
            file => Authorities::File(file.into()),
        });
        match (mode, authorities) {
            (SslMode::Disable, _) => Ok(Self::Disable),
            (SslMode::Prefer, _) => Ok(Self::Prefer),
            (SslMode::Require, None) => Ok(Self::Require),
            (SslMode::VerifyFull, authorities) => {
                Ok(Self::VerifyFull(authorities.unwrap_or(Authorities::System)))
            }
            (SslMode::Require | SslMode::VerifyCa, Some(file @ Authorities::File(_))) => {
                Ok(Self::VerifyCa(file))
            }
            // Anybody has a certificate of a public authority, for a name of their own.
            (SslMode::Require | SslMode::VerifyCa, Some(Authorities::System)) => {
                Err("DB_SSLROOTCERT=system proves nothing without the host's name: use DB_SSLMODE=verify-full".to_owned())
            }
            (SslMode::VerifyCa, None) => {
                Err("DB_SSLMODE=verify-ca needs DB_SSLROOTCERT, a PEM file with the authority's certificate".to_owned())
            }
        }
    }

    /// Where nothing was said: encrypted to another machine, plain on this one.
    pub fn default_for(config: &Config) -> SslMode {
        match is_this_machine(config) {
            true => SslMode::Disable,
            false => SslMode::Require,
        }
    }
}

fn is_this_machine(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(|address| address.is_loopback());
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) if name == "localhost" => true,
        Host::Tcp(name) => name
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback()),
    })
}

/// Sockets only: nothing to encrypt, whatever was asked, as libpq has it.
pub fn is_socket(config: &Config) -> bool {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(is_socket)
}

/// A URL without its `sslmode` and `sslrootcert`, and these.
pub struct SplitUrl {
    pub url: String,
    pub mode: Option<SslMode>,
    pub root_certificates: Option<String>,
}

/// `None` for what is no URL, and for a mode that there isn't.
pub fn split(url: &str) -> Option<SplitUrl> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return None;
    }
    let (start, parameters) = match url.rsplit_once('?') {
        Some((start, parameters)) => (start, parameters),
        None => (url, ""),
    };
    let mut split = SplitUrl {
        url: String::new(),
        mode: None,
        root_certificates: None,
    };
    let mut others = Vec::new();
    for parameter in parameters.split('&').filter(|one| !one.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => split.mode = Some(SslMode::from_str(mode, false).ok()?),
            Some(("sslrootcert", file)) => split.root_certificates = Some(decoded(file)?),
            _ => others.push(parameter),
        }
    }
    split.url = start.to_owned();
    if !others.is_empty() {
        split.url = format!("{start}?{}", others.join("&"));
    }
    Some(split)
}

/// Without percent-encoding; `None` where that is broken.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_promises_no_more_than_it_holds() {
        let file = || Authorities::File("ca.pem".into());
        for (mode, roots, expected) in [
            (SslMode::Disable, Some("ca.pem"), Some(Encryption::Disable)),
            (SslMode::Prefer, None, Some(Encryption::Prefer)),
            (SslMode::Require, None, Some(Encryption::Require)),
            (
                SslMode::Require,
                Some("ca.pem"),
                Some(Encryption::VerifyCa(file())),
            ),
            (SslMode::Require, Some("system"), None),
            (SslMode::VerifyCa, None, None),
            (SslMode::VerifyCa, Some("system"), None),
            (
                SslMode::VerifyFull,
                None,
                Some(Encryption::VerifyFull(Authorities::System)),
            ),
            (
                SslMode::VerifyFull,
                Some("ca.pem"),
                Some(Encryption::VerifyFull(file())),
            ),
        ] {
            assert_eq!(
                Encryption::new(mode, roots).ok(),
                expected,
                "{mode:?} {roots:?}"
            );
        }
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_somebody_says_otherwise() {
        for (hosts, expected) in [
            ("/run/postgresql", SslMode::Disable),
            ("127.0.0.1", SslMode::Disable),
            ("::1", SslMode::Disable),
            ("localhost", SslMode::Disable),
            ("db.example", SslMode::Require),
            ("10.0.0.7", SslMode::Require),
            ("localhost.evil.example", SslMode::Require),
        ] {
            let mut config = Config::new();
            config.host(hosts);
            assert_eq!(Encryption::default_for(&config), expected, "{hosts}");
        }
        let mut two = Config::new();
        two.host("localhost").host("db.example");
        assert_eq!(Encryption::default_for(&two), SslMode::Require);
        let mut elsewhere = Config::new();
        elsewhere.host("localhost").hostaddr([10, 0, 0, 7].into());
        assert_eq!(Encryption::default_for(&elsewhere), SslMode::Require);
    }

    #[test]
    fn a_url_is_read_without_what_its_reader_does_not_know() {
        let given = "postgres://ann:a%3Fb@db/shop?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fca.pem";
        let read = split(given).unwrap();
        assert_eq!(read.url, "postgres://ann:a%3Fb@db/shop?connect_timeout=3");
        assert_eq!(read.mode, Some(SslMode::VerifyFull));
        assert_eq!(read.root_certificates.as_deref(), Some("/etc/ca.pem"));

        let plain = split("postgres://ann@db/shop").unwrap();
        assert_eq!(plain.url, "postgres://ann@db/shop");
        assert_eq!(plain.mode, None);
        for wrong in [
            "host=db sslmode=disable",
            "postgres://db/shop?sslmode=allow",
            "postgres://db/shop?sslmode=Disable",
            "postgres://db/shop?sslrootcert=%2",
        ] {
            assert!(split(wrong).is_none(), "{wrong}");
        }
    }
}
