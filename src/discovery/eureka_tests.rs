//! Applications with instances.

use crate::discovery::fake::{Found, Reply, Request, fault, lines, serve};

const APPLICATIONS: &str = "<applications><versions__delta>1</versions__delta><apps__hashcode/><application>
  <name>META</name><instance>
    <instanceId>m:8080</instanceId><hostName>m.test</hostName><app>META</app><ipAddr>192.0.2.1</ipAddr>
    <status>UP</status><port enabled=\"true\">8080</port><securePort enabled=\"false\">443</securePort>
    <countryId>1</countryId><dataCenterInfo class=\"c\"><name>MyOwn</name><metadata><zone-id>z</zone-id></metadata>
    </dataCenterInfo><metadata class=\"x\"><project>a &amp; b</project><management.port>8090</management.port><n/></metadata>
    <homePageUrl>http://m/</homePageUrl><statusPageUrl>http://m/info</statusPageUrl>
    <healthCheckUrl>http://m/health</healthCheckUrl><vipAddress>v</vipAddress><secureVipAddress>s</secureVipAddress>
  </instance><instance><instanceId>n</instanceId><hostName>n.test</hostName></instance></application>
  <application><name>EMPTY</name></application></applications>";

#[tokio::test]
async fn instances_of_applications_are_found() {
    let address = serve(async |request: Request| {
        assert_eq!(request.path, "/eureka/apps");
        Reply::json(APPLICATIONS)
    })
    .await;
    let mut found = Found::start(&format!("eureka_sd_configs: [{{server: 'http://{address}/eureka'}}]"));
    found.is(&["m.test:8080", "n.test:80"]).await;
    let groups = found.until(|groups| groups.len() == 1).await;
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_eureka_app_"),
        [
            "__address__=m.test:8080",
            "instance_country_id=1",
            "instance_datacenterinfo_metadata_zone_id=z",
            "instance_datacenterinfo_name=MyOwn",
            "instance_healthcheck_url=http://m/health",
            "instance_homepage_url=http://m/",
            "instance_hostname=m.test",
            "instance_id=m:8080",
            "instance_ip_addr=192.0.2.1",
            "instance_metadata_management_port=8090",
            "instance_metadata_project=a &amp; b",
            "instance_port=8080",
            "instance_port_enabled=true",
            "instance_secure_port=443",
            "instance_secure_port_enabled=false",
            "instance_secure_vip_address=s",
            "instance_status=UP",
            "instance_statuspage_url=http://m/info",
            "instance_vip_address=v",
            "name=META",
            "instance=m:8080",
        ]
    );
    found.manager.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    for (reply, expected) in [
        ("<applications><application>", "cannot read the answer: "),
        (
            "<a><application><instance><port>x</port></instance></application></a>",
            "cannot read the answer: port is \"x\"",
        ),
    ] {
        let address = serve(move |_| async move { Reply::json(reply) }).await;
        let found = Found::start(&format!("eureka_sd_configs: [{{server: 'http://{address}'}}]"));
        let error = found.error().await;
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(fault("eureka_sd_configs: [{refresh_interval: 1s}]").contains("server is missing"));
    assert!(fault("eureka_sd_configs: [{server: 'h:1'}]").contains("eureka_sd_configs[0].server: "));
}
