//! Telling one integration of one thing: templates once, then attempts until one succeeds or there is no more time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
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
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) result: Result<(), Failure>,
    pub(super) attempts: u32,
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
    pub(super) async fn run(
        self,
        outside: &Outside,
        lane: &Semaphore,
        now_ms: i64,
        time: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Outcome {
        let deadline = Instant::now() + time;
        let outside = outside.clone();
        let rendered = tokio::task::spawn_blocking(move || self.render(&outside, now_ms)).await;
        let outgoing = match rendered {
            Ok(Ok(outgoing)) => outgoing,
            Ok(Err(failure)) => return Outcome { result: Err(failure), attempts: 0 },
            Err(error) => return Outcome { result: Err(Failure::permanent(error)), attempts: 0 },
        };
        let (mut pause, mut attempts) = (FIRST_PAUSE, 0);
        let mut last = Failure::passing("earlier notifications to this receiver took all the time");
        loop {
            let attempt = async {
                let _place = lane.acquire().await;
                attempts += 1;
                outgoing.send().await
            };
            match timeout_at(deadline, attempt).await {
                Ok(Ok(())) => return Outcome { result: Ok(()), attempts },
                Ok(Err(failure)) if !failure.may_pass => return Outcome { result: Err(failure), attempts },
                Ok(Err(failure)) => last = failure,
                Err(_) => {
                    if attempts == 1 {
                        last = Failure::passing("the attempt took all the time");
                    }
                    return Outcome { result: Err(last), attempts };
                }
            }
            if Instant::now() + pause >= deadline {
                return Outcome { result: Err(last), attempts };
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = stopped.wait_for(|stop| *stop) => return Outcome { result: Err(last), attempts },
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
    use std::net::TcpListener;

    use super::*;
    use crate::config::{self, LoadOptions};
    use crate::net::{Dialer, SystemResolver};
    use crate::receivers::alert::HeldAlert;

    #[tokio::test]
    async fn a_pause_leaves_its_place_to_others() {
        // Nobody listens there any more.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
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
