//! Telling one integration of one thing: templates once, then attempts until one succeeds or there is no more time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::engine::ToldAlert;
use super::error::Failure;
use super::message::{message, webhook_body};
use super::render::Renderer;
use super::{email, post, slack};
use crate::config::{EmailConfig, HttpConfig, IntegrationConfig, ReceiverConfig, Source};
use crate::model::Labels;
use crate::net::HttpClient;

/// Pause after the first attempt; each further one is half as long again, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Time one attempt may take where the configuration does not say.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// What all deliveries use.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    /// By their settings.
    pub(super) clients: Arc<HashMap<HttpConfig, HttpClient>>,
    /// Where users find this server.
    pub(super) external_url: String,
}

/// What is told to whom.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) receiver: Arc<ReceiverConfig>,
    /// Place among the integrations of the receiver.
    pub(super) integration: usize,
    pub(super) group_key: Arc<str>,
    pub(super) group_labels: Labels,
    /// In order; never empty.
    pub(super) alerts: Vec<ToldAlert>,
}

/// How a delivery ended.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub(super) result: Result<(), Failure>,
    pub(super) attempts: u32,
    /// The place of the attempt that succeeded. It is given back with this: once it is written down that the receiver was
    /// told, so that no more than are under way at once can be told again after a kill.
    _place: Option<SemaphorePermit<'a>>,
}

impl Outcome<'_> {
    fn failed(failure: Failure, attempts: u32) -> Self {
        Self { result: Err(failure), attempts, _place: None }
    }
}

/// Something ready to be sent.
enum Outgoing {
    Post { client: Option<HttpClient>, url: Source, body: Bytes, timeout: Duration },
    Mail { config: Box<EmailConfig>, mail: Box<email::Mail> },
}

impl Delivery {
    pub(super) fn integration(&self) -> Option<&IntegrationConfig> {
        self.receiver.integrations.get(self.integration)
    }

    /// Makes what is sent; takes time.
    fn render(&self, outside: &Outside, now_ms: i64) -> Result<Outgoing, Failure> {
        let message = message(&self.receiver.name, &self.group_labels, &self.alerts, &outside.external_url);
        let renderer = Renderer::new(&message, now_ms);
        match self.integration() {
            Some(IntegrationConfig::Webhook(config)) => Ok(Outgoing::Post {
                client: outside.clients.get(&config.http).cloned(),
                url: config.url.clone(),
                body: webhook_body(&message, &self.group_key, config.max_alerts).into(),
                timeout: config.timeout,
            }),
            Some(IntegrationConfig::Slack(config)) => Ok(Outgoing::Post {
                client: outside.clients.get(&config.http).cloned(),
                url: config.api_url.clone(),
                body: slack::body(config, &renderer)?.into(),
                timeout: ATTEMPT_TIMEOUT,
            }),
            Some(IntegrationConfig::Email(config)) => {
                Ok(Outgoing::Mail { mail: Box::new(email::mail(config, &renderer)?), config: config.clone() })
            }
            None => Err(Failure::permanent("the receiver has no such integration")),
        }
    }

    /// Sends it, again and again where a failure may pass, within `time` and until the server stops. An attempt takes a
    /// place in `lane`, a pause does not.
    pub(super) async fn run<'a>(
        self,
        outside: &Outside,
        lane: &'a Semaphore,
        now_ms: i64,
        time: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Outcome<'a> {
        let deadline = Instant::now() + time;
        let outside = outside.clone();
        let rendered = tokio::task::spawn_blocking(move || self.render(&outside, now_ms)).await;
        let outgoing = match rendered {
            Ok(Ok(outgoing)) => outgoing,
            Ok(Err(failure)) => return Outcome::failed(failure, 0),
            Err(error) => return Outcome::failed(Failure::permanent(error), 0),
        };
        let (mut pause, mut attempts) = (FIRST_PAUSE, 0);
        let mut last = Failure::passing("earlier notifications to this receiver took all the time");
        loop {
            let attempt = async {
                let place = lane.acquire().await;
                attempts += 1;
                outgoing.send().await.map(|()| place.ok())
            };
            match timeout_at(deadline, attempt).await {
                Ok(Ok(place)) => return Outcome { result: Ok(()), attempts, _place: place },
                Ok(Err(failure)) if !failure.may_pass => return Outcome::failed(failure, attempts),
                Ok(Err(failure)) => last = failure,
                Err(_) => {
                    if attempts == 1 {
                        last = Failure::passing("the attempt took all the time");
                    }
                    return Outcome::failed(last, attempts);
                }
            }
            if Instant::now() + pause >= deadline {
                return Outcome::failed(last, attempts);
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = stopped.wait_for(|stop| *stop) => return Outcome::failed(last, attempts),
            }
            pause = (pause * 3 / 2).min(MAX_PAUSE);
        }
    }
}

impl Outgoing {
    async fn send(&self) -> Result<(), Failure> {
        match self {
            Self::Post { client: Some(client), url, body, timeout } => {
                post::post(client, url, body.clone(), *timeout).await
            }
            // A reload has taken its client away meanwhile, and with it the integration.
            Self::Post { client: None, .. } => {
                Err(Failure::permanent("the receiver is no longer configured like this"))
            }
            Self::Mail { config, mail } => Box::pin(email::send(config, mail, ATTEMPT_TIMEOUT)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::config::{self, LoadOptions};
    use crate::net::{Dialer, SystemResolver};
    use crate::receivers::alert::HeldAlert;

    /// A delivery to a webhook at `address`, and what it needs.
    fn delivery_to(address: SocketAddr) -> (Delivery, Outside) {
        let text = format!(
            "notifications: {{route: {{receiver: a}}, receivers: [{{name: a, webhook_configs: [{{url: 'http://{address}/'}}]}}]}}"
        );
        let config = config::parse(&text, "f.yml", &LoadOptions::default()).expect("a configuration");
        let receiver = config.notifications.and_then(|own| own.receiver("a").cloned()).expect("there");
        let http = receiver.integrations[0].http().expect("a webhook").clone();
        let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
        let client = HttpClient::new(&http, dialer).expect("a client");
        let outside =
            Outside { clients: Arc::new(HashMap::from([(http, client)])), external_url: String::new() };
        let alert = HeldAlert {
            labels: Labels::from_pairs([("alertname", "A")]),
            annotations: Labels::empty(),
            starts_at: 0,
            ends_at: i64::MAX,
            end_is_assumed: false,
            updated_at: 0,
            generator_url: String::new(),
        };
        let delivery = Delivery {
            receiver,
            integration: 0,
            group_key: "{}:{}".into(),
            group_labels: Labels::empty(),
            alerts: vec![ToldAlert { alert: Arc::new(alert), resolved: false }],
        };
        (delivery, outside)
    }

    #[tokio::test]
    async fn a_delivery_keeps_its_place_until_its_outcome_is_done_with() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).expect("a request") > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("an answer");
        });
        let (delivery, outside) = delivery_to(address);
        let lane = Semaphore::new(1);
        let (_stop, stopped) = watch::channel(false);
        let outcome = delivery.run(&outside, &lane, 0, Duration::from_secs(60), stopped).await;
        assert!(outcome.result.is_ok(), "{outcome:?}");
        assert_eq!(lane.available_permits(), 0, "it is not yet written down that the receiver was told");
        drop(outcome);
        assert_eq!(lane.available_permits(), 1);
        server.join().expect("the server");
    }

    #[tokio::test]
    async fn a_pause_leaves_its_place_to_others() {
        // Nobody listens there any more.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let (delivery, outside) = delivery_to(address);
        let lane = Semaphore::new(1);
        let (_stop, stopped) = watch::channel(false);
        let run = delivery.run(&outside, &lane, 0, Duration::from_secs(60), stopped);
        let others = async {
            while lane.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            lane.acquire().await.is_ok()
        };
        tokio::select! {
            biased;
            outcome = run => panic!("it tries again: {outcome:?}"),
            got = others => assert!(got),
        }
    }
}
