//! Instances of EC2 in one region.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::credentials::{Keeper, Login};
use super::query::{CallError, Service};
use crate::config::http::shown_url;
use crate::config::{Ec2SdConfig, HttpConfig};
use crate::discovery::api::{host_port, list, sanitized};
use crate::discovery::surroundings::Surroundings;
use crate::discovery::{Refresh, TargetGroup, xml};
use crate::model::{Labels, LabelsBuf};
use crate::net::{Dialer, HttpClient, HttpError};

/// Instances on one page of an answer.
const PAGE: &str = "1000";
/// What names the zones.
const ZONES: &str = "DescribeAvailabilityZones";
/// Pages of one answer at most.
const MAX_PAGES: usize = 1000;
/// Network interfaces are numbered up to this; no instance can have so many.
const MAX_DEVICE: usize = 255;

/// Asks the API of one region.
#[derive(Debug)]
pub(in crate::discovery) struct Ec2Source {
    config: Box<Ec2SdConfig>,
    around: Surroundings,
    client: HttpClient,
    keeper: Keeper,
    /// The IDs of availability zones by their names, once they are known.
    zones: Mutex<Option<Arc<BTreeMap<String, String>>>>,
}

/// One kind of address of an instance.
#[derive(Debug, Default)]
struct Ipv6 {
    /// By the number of the interface; empty where one has none.
    primary: Vec<String>,
    all: Vec<String>,
}

impl Ec2Source {
    /// What `config` describes.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(in crate::discovery) fn new(
        config: Box<Ec2SdConfig>,
        dialer: &Arc<Dialer>,
    ) -> Result<Self, HttpError> {
        Self::with(config, dialer, Surroundings::of_process(dialer)?)
    }

    fn with(config: Box<Ec2SdConfig>, dialer: &Arc<Dialer>, around: Surroundings) -> Result<Self, HttpError> {
        // A signature is for one host: whoever sends us elsewhere gets none.
        let http = HttpConfig { follow_redirects: false, ..config.http.clone() };
        let client = HttpClient::new(&http, Arc::clone(dialer))?;
        let login = Login::new(&config.region, &config.identity);
        let keeper = Keeper::new(login, around.clone(), client.clone());
        Ok(Self { config, around, client, keeper, zones: Mutex::default() })
    }

    async fn call(
        &self,
        service: &Service,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<String, String> {
        let credentials = self.keeper.credentials(&service.region).await?;
        let answer = service.call(action, parameters, Some(&*credentials), &*self.around.clock).await;
        // Who may not ask for one thing may still ask for others: the name of zones is nothing that is needed.
        if action != ZONES && answer.as_ref().is_err_and(CallError::is_of_credentials) {
            self.keeper.forget().await;
        }
        answer.map_err(|error| error.to_string())
    }

    async fn ask(&self) -> Result<Vec<TargetGroup>, String> {
        let region = self.keeper.region().await?;
        let own = || self.around.first_of(&["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"]);
        let endpoint = Some(self.config.endpoint.clone()).filter(|url| !url.is_empty()).or_else(own);
        let service = Service {
            name: "ec2",
            version: "2016-11-15",
            region: region.to_owned(),
            endpoint: endpoint.unwrap_or_else(|| Service::usual_endpoint("ec2", region)),
            client: self.client.clone(),
        };
        let zones = self.zones(&service).await;
        let mut common = vec![("MaxResults".to_owned(), PAGE.to_owned())];
        for (at, filter) in self.config.filters.iter().enumerate() {
            common.push((format!("Filter.{}.Name", at + 1), filter.name.clone()));
            for (of, value) in filter.values.iter().enumerate() {
                common.push((format!("Filter.{}.Value.{}", at + 1, of + 1), value.clone()));
            }
        }
        let failed = |reason: String| format!("could not describe instances: {reason}");
        let mut targets = Vec::new();
        let mut next = String::new();
        for _ in 0..MAX_PAGES {
            let mut parameters = common.clone();
            if !next.is_empty() {
                parameters.push(("NextToken".to_owned(), next.clone()));
            }
            let answer = self.call(&service, "DescribeInstances", &parameters).await.map_err(failed)?;
            let document = xml::parse(&answer).map_err(failed)?;
            let root = document.root_element();
            for reservation in items(root, "reservationSet") {
                let owner = xml::text(reservation, "ownerId");
                let found = items(reservation, "instancesSet");
                targets.extend(found.filter_map(|instance| self.target(instance, owner, region, &zones)));
            }
            let following = xml::text(root, "nextToken");
            if following.is_empty() {
                return Ok(vec![TargetGroup {
                    source: region.to_owned(),
                    targets,
                    labels: Labels::default(),
                }]);
            }
            if following == next {
                return Err(failed("the page after this one is the same".to_owned()));
            }
            following.clone_into(&mut next);
        }
        Err(failed(format!("there are more than {MAX_PAGES} pages")))
    }

    /// They are asked for until they are known; a failure costs no more than a label.
    async fn zones(&self, service: &Service) -> Arc<BTreeMap<String, String>> {
        let mut zones = self.zones.lock().await;
        if let Some(known) = zones.as_ref() {
            return Arc::clone(known);
        }
        let answer = self.call(service, ZONES, &[]).await;
        let read = answer.and_then(|answer| {
            let document = xml::parse(&answer)?;
            let pair = |zone| (xml::text(zone, "zoneName").to_owned(), xml::text(zone, "zoneId").to_owned());
            Ok(items(document.root_element(), "availabilityZoneInfo").map(pair).collect::<BTreeMap<_, _>>())
        });
        match read {
            Ok(found) => Arc::clone(zones.insert(Arc::new(found))),
            Err(reason) => {
                tracing::debug!(reason, "cannot describe availability zones");
                Arc::default()
            }
        }
    }

    /// None for an instance without an address.
    fn target(
        &self,
        instance: xml::Node<'_, '_>,
        owner: &str,
        region: &str,
        zones: &BTreeMap<String, String>,
    ) -> Option<Labels> {
        let text = |name: &str| xml::text(instance, name);
        let below = |section: &str, name: &str| {
            xml::child(instance, section).map(|section| xml::text(section, name)).unwrap_or_default()
        };
        let (private, public, vpc) = (text("privateIpAddress"), text("ipAddress"), text("vpcId"));
        let ipv6 = if vpc.is_empty() { Ipv6::default() } else { Ipv6::of(instance) };
        let default_ipv6 = ipv6.primary.iter().chain(&ipv6.all).find(|address| !address.is_empty());
        let default_ipv6 = default_ipv6.map_or("", String::as_str);
        let address = if private.is_empty() { default_ipv6 } else { private };
        if address.is_empty() {
            return None;
        }
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(address, self.config.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_ec2_{name}"), value);
        let zone = below("placement", "availabilityZone");
        set("ami", text("imageId"));
        set("architecture", text("architecture"));
        set("availability_zone", zone);
        set("availability_zone_id", zones.get(zone).map_or("", String::as_str));
        set("default_ipv6_address", default_ipv6);
        set("instance_id", text("instanceId"));
        set("instance_lifecycle", text("instanceLifecycle"));
        set("instance_state", below("instanceState", "name"));
        set("instance_type", text("instanceType"));
        set("ipv6_addresses", &list(&ipv6.all, ","));
        set("owner_id", owner);
        set("platform", text("platform"));
        set("primary_ipv6_addresses", &list(&ipv6.primary, ","));
        set("private_dns_name", text("privateDnsName"));
        set("private_ip", private);
        set("region", region);
        if !public.is_empty() {
            set("public_dns_name", text("dnsName"));
            set("public_ip", public);
        }
        if !vpc.is_empty() {
            let mut subnets: Vec<&str> = Vec::new();
            for interface in items(instance, "networkInterfaceSet") {
                let subnet = xml::text(interface, "subnetId");
                if !subnet.is_empty() && !subnets.contains(&subnet) {
                    subnets.push(subnet);
                }
            }
            set("vpc_id", vpc);
            set("primary_subnet_id", text("subnetId"));
            set("subnet_id", &format!(",{},", subnets.join(",")));
        }
        for tag in items(instance, "tagSet") {
            set(&format!("tag_{}", sanitized(xml::text(tag, "key"))), xml::text(tag, "value"));
        }
        Some(labels.to_labels())
    }
}

impl Refresh for Ec2Source {
    fn what(&self) -> String {
        let place = [&self.config.endpoint, &self.config.region].into_iter().find(|text| !text.is_empty());
        format!("EC2 {}", place.map_or_else(|| "in its own region".to_owned(), |place| shown_url(place)))
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(self.ask())
    }
}

impl Ipv6 {
    fn of(instance: xml::Node<'_, '_>) -> Self {
        let mut out = Self::default();
        for interface in items(instance, "networkInterfaceSet") {
            if xml::text(interface, "subnetId").is_empty() {
                continue;
            }
            let device = xml::child(interface, "attachment").map(|node| xml::text(node, "deviceIndex"));
            let device: Option<usize> = device.and_then(|text| text.parse().ok());
            for one in items(interface, "ipv6AddressesSet") {
                let address = xml::text(one, "ipv6Address");
                out.all.push(address.to_owned());
                let is_primary = xml::text(one, "isPrimaryIpv6") == "true";
                if let Some(device) = device.filter(|device| is_primary && *device <= MAX_DEVICE) {
                    if out.primary.len() <= device {
                        out.primary.resize(device + 1, String::new());
                    }
                    address.clone_into(&mut out.primary[device]);
                }
            }
        }
        out
    }
}

/// The items of the list called `name`.
fn items<'a, 'input>(node: xml::Node<'a, 'input>, name: &str) -> impl Iterator<Item = xml::Node<'a, 'input>> {
    xml::child(node, name).into_iter().flat_map(|list| xml::children(list, "item"))
}

#[cfg(test)]
#[path = "ec2_tests.rs"]
mod tests;
