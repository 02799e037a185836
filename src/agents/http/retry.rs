//! What goes wrong between a request and its answer, whether it may be tried again within the attempt, and after what time.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use super::words;

/// The first wait before another try; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait that is chosen here.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait that a server may ask for within an attempt.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It never reached a server, so nothing can have been done.
    NotSent(String),
    /// It was sent, and the connection broke before the answer was complete.
    Broken(String),
    /// It cannot be made or its answer cannot be taken; trying again changes nothing.
    Final(String),
}

impl Trouble {
    /// Whether the same request may be sent again.
    pub fn may_be_tried_again(&self, repeatable: bool) -> bool {
        match self {
            Trouble::NotSent(_) => true,
            Trouble::Broken(_) => repeatable,
            Trouble::Final(_) => false,
        }
    }

    pub fn words(&self) -> &str {
        let (Trouble::NotSent(words) | Trouble::Broken(words) | Trouble::Final(words)) = self;
        words
    }

    /// Of what the client says while a request is sent.
    pub fn of(error: &reqwest::Error, url: &Url, connect_timeout: Duration, no_roots: bool) -> Self {
        let server = server(url);
        if let Some(tls) = tls_error(error) {
            return Trouble::Final(untrusted(&server, tls, no_roots));
        }
        if error.is_connect() {
            return Trouble::NotSent(if error.is_timeout() {
                format!("no connection to {server} within {}", words::seconds(connect_timeout))
            } else if error.is_dns() {
                format!("no connection to {server}: the name is not known ({})", words::deepest(error))
            } else {
                format!("no connection to {server}: {}", words::deepest(error))
            });
        }
        if error.is_builder() {
            return Trouble::Final(format!("the request cannot be made: {}", words::deepest(error)));
        }
        Trouble::Broken(format!(
            "the connection to {server} ended before there was an answer: {}",
            words::deepest(error)
        ))
    }
}

/// Host and port.
fn server(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What TLS has to say, if it is to blame.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // What an I/O error holds is not its source, and it may hold another one.
        let held = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        next = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

fn untrusted(server: &str, error: &rustls::Error, no_roots: bool) -> String {
    use rustls::CertificateError as Certificate;
    let why = match error {
        _ if no_roots => {
            return format!(
                "the certificate of {server} cannot be checked: this machine has no root certificates; install them (`ca-certificates`), or name a file of them in SSL_CERT_FILE"
            );
        }
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::UnknownIssuer => {
                return format!(
                    "the certificate of {server} is not trusted: who issued it is not known here; if it is your own, add its root certificate to the system, or name it in SSL_CERT_FILE"
                );
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => "it has expired".to_owned(),
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "it is made out to another name".to_owned()
            }
            other => other.to_string(),
        },
        other => return format!("no secure connection to {server}: {other}"),
    };
    format!("the certificate of {server} is not trusted: {why}")
}

/// Whether a server says that it did not take the request and may take it later.
pub(super) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// What `Retry-After` asks for, in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.min(1e9)).ok();
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

/// The wait before a try (from 1), when nobody has asked for one. Attempts that begin together do not come back together: each key
/// has its own share of the wait.
pub(super) fn backoff(tried: u32, key: &str) -> Duration {
    let plain = FIRST.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(LONGEST);
    // FNV-1a
    let digest = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    plain.mul_f64(0.75 + 0.5 * (digest % 1000) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn a_server_may_ask_for_a_time_or_for_a_date() {
        let now = Utc.with_ymd_and_hms(2031, 5, 4, 10, 0, 0).unwrap();
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked(" 0 "), Some(Duration::ZERO));
        assert_eq!(asked("Sun, 04 May 2031 10:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(asked("Sun, 04 May 2031 09:00:00 GMT"), Some(Duration::ZERO), "already over");
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-3"), None);
        assert!(asked("1e99").unwrap() > LONGEST_ASKED);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_differ() {
        let waits: Vec<f64> = (1..=8).map(|tried| backoff(tried, "a").as_secs_f64()).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert!(waits[0] <= 0.625 && waits[7] <= 37.5, "{waits:?}");
        assert_ne!(backoff(1, "a"), backoff(1, "b"));
        assert!(backoff(u32::MAX, "a") <= Duration::from_secs(38));
    }
}
