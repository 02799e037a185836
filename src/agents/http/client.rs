//! The HTTP clients of this process: one for each time that connecting may take, each with its pool of connections.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Url, redirect};

/// How long a connection is kept for the next request. Many servers close theirs after five seconds, and a request that meets a
/// connection that is just being closed may or may not have been read.
const KEPT: Duration = Duration::from_secs(4);

/// A client, and what is known of it.
#[derive(Debug, Clone)]
pub(in crate::agents) struct Connector {
    pub client: Client,
    /// The system has no root certificates, so no server's certificate can be trusted.
    pub no_roots: bool,
}

type Connectors = BTreeMap<(Duration, bool), Connector>;

static CONNECTORS: Mutex<Connectors> = Mutex::new(BTreeMap::new());

/// The client for requests to this URL. Reads the system's certificates and the proxy variables when it is needed for the first time.
pub(in crate::agents) async fn connector(url: &Url, connect_timeout: Duration) -> Result<Connector, String> {
    let key = (connect_timeout, is_this_machine(url));
    let known = |connectors: &Connectors| connectors.get(&key).cloned();
    if let Some(connector) = known(&CONNECTORS.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(connector);
    }
    // Certificates are read from the disk.
    let made = tokio::task::spawn_blocking(move || make(key.0, key.1)).await;
    let made = made.map_err(|error| format!("the HTTP client could not be made: {error}"))??;
    let mut connectors = CONNECTORS.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(connectors.entry(key).or_insert(made).clone())
}

/// Whether a URL leads to this machine, where no proxy is asked for.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn make(connect_timeout: Duration, direct: bool) -> Result<Connector, String> {
    // Somebody else may have chosen one before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("holdpoint/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(KEPT);
        if direct { builder.no_proxy() } else { builder }
    };
    if let Ok(client) = builder().build() {
        return Ok(Connector { client, no_roots: false });
    }
    let client = builder().tls_certs_only([]).build();
    let client =
        client.map_err(|error| format!("the HTTP client could not be made: {}", super::words::deepest(&error)))?;
    Ok(Connector { client, no_roots: true })
}
