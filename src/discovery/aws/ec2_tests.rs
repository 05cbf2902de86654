//! A region with instances.

use std::sync::Mutex as Lock;

use super::super::query::Service;
use super::super::sign::is_signed;
use super::*;
use crate::discovery::fake::{Found, Reply, Request, serve};
use crate::util::lock::lock;

const ZONES: &str = "<DescribeAvailabilityZonesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">
  <availabilityZoneInfo><item><zoneName>eu-west-1a</zoneName><zoneId>euw1-az3</zoneId></item></availabilityZoneInfo>
</DescribeAvailabilityZonesResponse>";

const FIRST: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item>
  <reservationId>r-1</reservationId><ownerId>123</ownerId><instancesSet><item>
    <instanceId>i-1</instanceId><imageId>ami-1</imageId><instanceState><code>16</code><name>running</name></instanceState>
    <privateDnsName>ip-10-0-0-1</privateDnsName><dnsName>ec2-1.example</dnsName><instanceType>t3.micro</instanceType>
    <placement><availabilityZone>eu-west-1a</availabilityZone></placement><platform>windows</platform>
    <subnetId>s-1</subnetId><vpcId>v-1</vpcId><privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>1.2.3.4</ipAddress>
    <architecture>x86_64</architecture><instanceLifecycle>spot</instanceLifecycle>
    <tagSet><item><key>team-name</key><value>a &amp; b</value></item></tagSet>
    <networkInterfaceSet>
      <item><subnetId>s-1</subnetId><attachment><deviceIndex>0</deviceIndex></attachment>
        <ipv6AddressesSet><item><ipv6Address>fd00::1</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item></ipv6AddressesSet></item>
      <item><subnetId>s-2</subnetId><attachment><deviceIndex>2</deviceIndex></attachment>
        <ipv6AddressesSet><item><ipv6Address>fd00::2</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item></ipv6AddressesSet></item>
      <item><subnetId>s-1</subnetId><attachment><deviceIndex>4000000000</deviceIndex></attachment>
        <ipv6AddressesSet><item><ipv6Address>fd00::3</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item></ipv6AddressesSet></item>
    </networkInterfaceSet></item>
    <item><instanceId>i-gone</instanceId><instanceState><name>terminated</name></instanceState></item>
  </instancesSet></item></reservationSet><nextToken>to+ken</nextToken></DescribeInstancesResponse>";

const SECOND: &str = "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>
  <instanceId>i-2</instanceId><vpcId>v-1</vpcId><subnetId>s-1</subnetId><networkInterfaceSet><item><subnetId>s-1</subnetId>
  <ipv6AddressesSet><item><ipv6Address>fd00::9</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet>
  </item></instancesSet></item></reservationSet></DescribeInstancesResponse>";

fn answer(request: &Request) -> Reply {
    let header = |name: &str| request.header(name);
    let place = ("eu-west-1", "ec2");
    assert!(is_signed(&request.path, header, &request.body, place, ("AK", "geheim")), "{request:?}");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
    assert!(request.body.contains("&Version=2016-11-15"));
    let body = match &request.body {
        body if body.starts_with("Action=DescribeAvailabilityZones&") => ZONES,
        body if body.contains("&NextToken=to%2Bken") => SECOND,
        _ => FIRST,
    };
    Reply { headers: vec![("Content-Type", "text/xml".to_owned())], ..Reply::json(body) }
}

#[tokio::test]
async fn instances_are_found_page_by_page() {
    let seen: Arc<Lock<Vec<String>>> = Arc::default();
    let bodies = Arc::clone(&seen);
    let address = serve(move |request: Request| {
        lock(&bodies).push(request.body.clone());
        let reply = answer(&request);
        async move { reply }
    })
    .await;
    let mut found = Found::start(&format!(
        "ec2_sd_configs: [{{endpoint: 'http://{address}', region: eu-west-1, access_key: AK, secret_key: geheim, \
         port: 9100, refresh_interval: 10ms, filters: [{{name: 'tag:a b', values: [x, 'y&z']}}, \
         {{name: n, values: ['1']}}]}}]"
    ));
    found.is(&["10.0.0.1:9100", "[fd00::9]:9100"]).await;
    let groups = found.until(|groups| groups.len() == 1).await;
    assert_eq!(groups[0].source, "eu-west-1");
    let target = &groups[0].targets[0];
    let expected = [
        ("ami", "ami-1"),
        ("architecture", "x86_64"),
        ("availability_zone", "eu-west-1a"),
        ("availability_zone_id", "euw1-az3"),
        ("default_ipv6_address", "fd00::2"),
        ("instance_id", "i-1"),
        ("instance_lifecycle", "spot"),
        ("instance_state", "running"),
        ("instance_type", "t3.micro"),
        ("ipv6_addresses", ",fd00::1,fd00::2,fd00::3,"),
        ("owner_id", "123"),
        ("platform", "windows"),
        ("primary_ipv6_addresses", ",,,fd00::2,"),
        ("primary_subnet_id", "s-1"),
        ("private_dns_name", "ip-10-0-0-1"),
        ("private_ip", "10.0.0.1"),
        ("public_dns_name", "ec2-1.example"),
        ("public_ip", "1.2.3.4"),
        ("region", "eu-west-1"),
        ("subnet_id", ",s-1,s-2,"),
        ("tag_team_name", "a & b"),
        ("vpc_id", "v-1"),
    ];
    for (name, value) in expected {
        assert_eq!(target.get(&format!("__meta_ec2_{name}")), Some(value), "{name}");
    }
    assert_eq!(target.iter().count(), expected.len() + 1, "{target:?}");
    // Once more, so that it is seen what is asked again.
    let pages = || lock(&seen).iter().filter(|body| body.contains("NextToken")).count();
    let again = async {
        while pages() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), again).await.expect("asked again");
    let seen = lock(&seen).clone();
    assert_eq!(seen.iter().filter(|body| body.contains("DescribeAvailabilityZones")).count(), 1);
    assert_eq!(
        seen[1],
        "Action=DescribeInstances&Version=2016-11-15&MaxResults=1000&Filter.1.Name=tag%3Aa+b&Filter.1.Value.1=x\
         &Filter.1.Value.2=y%26z&Filter.2.Name=n&Filter.2.Value.1=1"
    );
    found.manager.stop().await;
}

#[tokio::test]
async fn what_aws_refuses_is_told() {
    for (status, body, expected) in [
        (
            "401 Unauthorized",
            "<Response><Errors><Error><Code>AuthFailure</Code><Message>AWS was not able to validate</Message></Error>\
             </Errors><RequestID>1</RequestID></Response>",
            "could not describe instances: AuthFailure: AWS was not able to validate (HTTP status 401)",
        ),
        ("503 Busy", "later", "could not describe instances: server returned HTTP status 503 Busy: later"),
    ] {
        let address = serve(move |_| async move { Reply::status(status, body) }).await;
        let found = Found::start(&format!(
            "ec2_sd_configs: [{{endpoint: 'http://{address}', region: r, access_key: a, secret_key: geheim}}]"
        ));
        assert_eq!(found.error().await, expected);
    }
    let same = "<R><reservationSet/><nextToken>n</nextToken></R>";
    let address = serve(move |_| async move { Reply::json(same) }).await;
    let found = Found::start(&format!(
        "ec2_sd_configs: [{{endpoint: 'http://{address}', region: r, access_key: a, secret_key: geheim}}]"
    ));
    let expected = "could not describe instances: the page after this one is the same";
    assert_eq!(found.error().await, expected);
}

#[test]
fn the_usual_endpoint_is_that_of_the_region() {
    assert_eq!(Service::usual_endpoint("ec2", "eu-west-1"), "https://ec2.eu-west-1.amazonaws.com");
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let options = crate::config::LoadOptions::default();
    let load = |section: &str| {
        let text = format!("scrape_configs:\n- job_name: j\n  ec2_sd_configs: [{{{section}}}]\n");
        crate::config::parse(&text, "f", &options)
    };
    for (section, expected) in [
        ("filters: [{name: n, values: []}]", "filters[0].values: the values of a filter cannot be empty"),
        ("filters: [{values: [a]}]", "filters[0].name: the name of a filter is missing"),
        ("endpoint: 'h:1'", "endpoint: "),
        ("bearer_token: t", "bearer_token: requests to AWS are signed"),
    ] {
        let error = load(section).expect_err(section).to_string();
        assert!(error.contains(&format!("ec2_sd_configs[0].{expected}")), "{error}");
    }
    // What does nothing does nothing in Prometheus either; a warning says so.
    for alone in ["access_key: a", "secret_key: geheim", "external_id: e"] {
        load(alone).expect(alone);
    }
    let config =
        load("region: r, access_key: a, secret_key: geheim, role_arn: arn, external_id: e").expect("valid");
    assert!(!format!("{config:?}").contains("geheim") && !config.to_yaml().contains("geheim"));
    assert!(config.to_yaml().contains("secret_key: <secret>"));
}
