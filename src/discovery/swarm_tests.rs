//! What a swarm says becomes targets.

use super::*;

const SERVICES: &str = r#"[
    {"ID": "s1", "Spec": {"Name": "web", "Labels": {"a-b": "c"}, "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": {"Image": "web:1", "Hostname": "h"}}},
     "Endpoint": {"Ports": [{"Name": "http", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080,
            "PublishMode": "ingress"}, {"Protocol": "udp", "PublishedPort": 53}],
        "VirtualIPs": [{"NetworkID": "n1", "Addr": "10.0.0.3/24"}]},
     "UpdateStatus": {"State": "completed"}},
    {"ID": "s2", "Spec": {"Name": "agent", "Mode": {"Global": {}}, "TaskTemplate": {}},
     "Endpoint": {"VirtualIPs": [{"NetworkID": "n1", "Addr": "fd00::4/64"}]}}]"#;

const NODES: &str = r#"[
    {"ID": "m1", "Spec": {"Role": "manager", "Availability": "active", "Labels": {"rack": "1"}},
     "Description": {"Hostname": "one", "Platform": {"Architecture": "x86_64", "OS": "linux"},
        "Engine": {"EngineVersion": "29.0.1"}},
     "Status": {"State": "ready", "Addr": "192.0.2.1"},
     "ManagerStatus": {"Leader": true, "Reachability": "reachable", "Addr": "192.0.2.1:2377"}}]"#;

const TASKS: &str = r#"[
    {"ID": "t1", "ServiceID": "s1", "NodeID": "m1", "Slot": 2, "DesiredState": "running",
     "Spec": {"ContainerSpec": {"Image": "web:1", "Labels": {"x.y": "z"}}},
     "Status": {"State": "running", "ContainerStatus": {"ContainerID": "c1"},
        "PortStatus": {"Ports": [{"Protocol": "tcp", "PublishedPort": 9999, "PublishMode": "host"}]}},
     "NetworksAttachments": [{"Network": {"ID": "n1"}, "Addresses": ["10.0.0.9/24"]}]},
    {"ID": "t2", "ServiceID": "s2", "NodeID": "gone", "Status": {"State": "running", "PortStatus": {}},
     "NetworksAttachments": [{"Network": {"ID": "n1"}, "Addresses": ["10.0.0.10/24"]}]}]"#;

fn networks() -> HashMap<String, Labels> {
    HashMap::from([("n1".to_owned(), Labels::from_pairs([("__meta_dockerswarm_network_name", "ingress")]))])
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    serde_json::from_str(text).expect("valid")
}

fn check(target: &Labels, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(target.get(&format!("{PREFIX}{name}")), Some(*value), "{name} of {target}");
    }
}

#[test]
fn services_are_at_their_virtual_addresses() {
    let targets = services_at(&read(SERVICES), &networks(), 81);
    let addresses: Vec<_> = targets.iter().map(|target| target.get("__address__").unwrap_or("")).collect();
    assert_eq!(addresses, ["10.0.0.3:8080", "[fd00::4]:81"]);
    check(
        &targets[0],
        &[
            ("service_id", "s1"),
            ("service_name", "web"),
            ("service_mode", "replicated"),
            ("service_label_a_b", "c"),
            ("service_task_container_image", "web:1"),
            ("service_task_container_hostname", "h"),
            ("service_updating_status", "completed"),
            ("service_endpoint_port_name", "http"),
            ("service_endpoint_port_publish_mode", "ingress"),
            ("network_name", "ingress"),
        ],
    );
    check(&targets[1], &[("service_mode", "global"), ("network_name", "ingress")]);
}

#[test]
fn tasks_are_at_ports_of_their_nodes_and_in_their_networks() {
    let targets = tasks_at(&read(TASKS), &read(SERVICES), &read(NODES), &networks(), 81);
    let addresses: Vec<_> = targets.iter().map(|target| target.get("__address__").unwrap_or("")).collect();
    assert_eq!(addresses, ["192.0.2.1:9999", "10.0.0.9:8080", "10.0.0.10:81"]);
    check(
        &targets[0],
        &[
            ("task_id", "t1"),
            ("task_slot", "2"),
            ("task_state", "running"),
            ("task_desired_state", "running"),
            ("task_container_id", "c1"),
            ("task_port_publish_mode", "host"),
            ("container_label_x_y", "z"),
            ("service_name", "web"),
            ("node_hostname", "one"),
        ],
    );
    assert_eq!(targets[0].get("__meta_dockerswarm_network_name"), None);
    check(&targets[1], &[("task_port_publish_mode", "ingress"), ("network_name", "ingress")]);
}

#[test]
fn nodes_are_at_their_addresses() {
    let nodes: Vec<Node> = read(NODES);
    let target = nodes[0].target(9100);
    assert_eq!(target.get("__address__"), Some("192.0.2.1:9100"));
    check(
        &target,
        &[
            ("node_id", "m1"),
            ("node_role", "manager"),
            ("node_availability", "active"),
            ("node_hostname", "one"),
            ("node_platform_architecture", "x86_64"),
            ("node_platform_os", "linux"),
            ("node_status", "ready"),
            ("node_label_rack", "1"),
            ("node_engine_version", "29.0.1"),
            ("node_manager_leader", "true"),
            ("node_manager_reachability", "reachable"),
            ("node_manager_address", "192.0.2.1:2377"),
        ],
    );
}
