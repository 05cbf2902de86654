//! Eureka: the applications that register with it, in XML.

use futures_util::future::BoxFuture;

use super::api::{Api, host_port, sanitized};
use super::{Refresh, TargetGroup, xml};
use crate::config::http::shown_url;
use crate::model::{Labels, LabelsBuf};

/// Port of instances that name none.
const PORT: &str = "80";
/// Texts of an instance, and the labels they become.
const TEXTS: [(&str, &str); 9] = [
    ("hostName", "hostname"),
    ("homePageUrl", "homepage_url"),
    ("statusPageUrl", "statuspage_url"),
    ("healthCheckUrl", "healthcheck_url"),
    ("ipAddr", "ip_addr"),
    ("vipAddress", "vip_address"),
    ("secureVipAddress", "secure_vip_address"),
    ("status", "status"),
    ("instanceId", "id"),
];

/// Asks one server.
#[derive(Debug)]
pub(super) struct Eureka {
    pub(super) api: Api,
}

impl Refresh for Eureka {
    fn what(&self) -> String {
        shown_url(self.api.base())
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            let body = self.api.bytes("/apps").await.map_err(|error| error.to_string())?;
            let text = String::from_utf8(body).map_err(|_| "cannot read the answer: it is not UTF-8")?;
            let document = xml::parse(&text)?;
            let mut targets = Vec::new();
            for application in xml::children(document.root_element(), "application") {
                let name = xml::text(application, "name");
                for instance in xml::children(application, "instance") {
                    targets.push(target(name, instance, &text)?);
                }
            }
            Ok(vec![TargetGroup { source: "eureka".to_owned(), targets, labels: Labels::default() }])
        })
    }
}

fn target(application: &str, instance: xml::Node<'_, '_>, document: &str) -> Result<Labels, String> {
    let mut labels = LabelsBuf::new();
    labels.set("__meta_eureka_app_name", application);
    labels.set("instance", xml::text(instance, "instanceId"));
    let mut set = |name: &str, value: &str| labels.set(&format!("__meta_eureka_app_instance_{name}"), value);
    for (from, to) in TEXTS {
        set(to, xml::text(instance, from));
    }
    let country = whole(instance, "countryId")?.unwrap_or(0);
    set("country_id", &country.to_string());
    let mut address = host_port(xml::text(instance, "hostName"), PORT);
    for (element, label) in [("port", "port"), ("securePort", "secure_port")] {
        let Some(node) = xml::child(instance, element) else { continue };
        let port = whole(instance, element)?.unwrap_or(0);
        if element == "port" {
            address = host_port(xml::text(instance, "hostName"), port);
        }
        set(label, &port.to_string());
        let is_enabled = node.attribute("enabled") == Some("true");
        set(&format!("{label}_enabled"), &is_enabled.to_string());
    }
    if let Some(center) = xml::child(instance, "dataCenterInfo") {
        set("datacenterinfo_name", xml::text(center, "name"));
        for (name, value) in metadata(center, document) {
            set(&format!("datacenterinfo_metadata_{name}"), value);
        }
    }
    for (name, value) in metadata(instance, document) {
        set(&format!("metadata_{name}"), value);
    }
    labels.set("__address__", &address);
    Ok(labels.to_labels())
}

/// The number in the element called `name`; none where it is empty or not there.
fn whole(node: xml::Node<'_, '_>, name: &str) -> Result<Option<i64>, String> {
    let text = xml::text(node, name);
    let number = (!text.is_empty()).then(|| text.parse()).transpose();
    number.map_err(|_| format!("cannot read the answer: {name} is {:?}", crate::util::brief(text)))
}

/// Names and values of what is free; values are the text of the document, unread.
fn metadata<'a>(node: xml::Node<'a, '_>, document: &'a str) -> impl Iterator<Item = (String, &'a str)> {
    let all = xml::child(node, "metadata").into_iter().flat_map(|list| list.children());
    let elements = all.filter(xml::Node::is_element);
    elements.map(move |one| (sanitized(one.tag_name().name()), xml::inner(one, document)))
}

#[cfg(test)]
#[path = "eureka_tests.rs"]
mod tests;
