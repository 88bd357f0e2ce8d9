//! What `/health` and `/status` say, over real sockets.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::TaskTracker;
use trireme::{
    config::Config,
    consensus::ReplicatedLog,
    duty::{Duty, Orders},
    status::{self, LastError, Role, Source, Status},
};

use crate::cluster::{Cluster, LIMIT};

/// The HTTP port of one node.
struct Port {
    address: SocketAddr,
    orders: Orders,
    task: JoinHandle<()>,
}

impl Port {
    async fn of(cluster: &Cluster, node: usize) -> Self {
        Self::with("", cluster, node).await
    }

    /// With this configuration.
    async fn with(config: &str, cluster: &Cluster, node: usize) -> Self {
        let config = Config::parse(config).unwrap();
        let orders = Orders::default();
        let source = Source {
            config: watch::channel(Arc::new(config)).1,
            replicator: None,
            cluster: Some(("test".to_owned(), cluster.node(node).clone())),
            last_error: LastError::default(),
            orders: orders.clone(),
            metrics: Arc::default(),
            sessions: TaskTracker::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let source = Arc::new(source);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = status::serve(listener, source.clone()) => {}
                never = source.publish() => match never {},
            }
        });
        Self {
            address,
            orders,
            task,
        }
    }

    /// The answer to one request, head and body.
    async fn ask(&self, request: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        timeout(LIMIT, stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }

    async fn health(&self) -> String {
        let answer = self.ask("GET /health HTTP/1.0\r\n\r\n").await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap();
        format!("{code} {}", body.trim_end())
    }

    async fn wait_for_health(&self, start: &str) {
        let waiting = async { while !self.health().await.starts_with(start) {} };
        let waited = timeout(LIMIT, waiting).await;
        assert!(waited.is_ok(), "health stays {:?}", self.health().await);
    }

    async fn status(&self) -> Status {
        let address = self.address.to_string();
        let fetched = tokio::task::spawn_blocking(move || Status::fetch(&address));
        fetched.await.unwrap().unwrap()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_healthy_while_it_has_a_majority() {
    let mut cluster = Cluster::new(3);
    cluster.start(0).await;
    let port = Port::of(&cluster, 0).await;
    assert!(
        port.health()
            .await
            .starts_with("503 the cluster has not formed")
    );
    assert_eq!(port.status().await.cluster.unwrap().members, []);

    cluster.start(1).await;
    cluster.start(2).await;
    port.wait_for_health("200 ok").await;
    // As HAProxy asks unless told otherwise.
    let probe = port.ask("OPTIONS / HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(probe.starts_with("HTTP/1.0 200"), "{probe}");

    cluster.stop(1).await;
    port.wait_for_health("200 ok").await;
    cluster.stop(2).await;
    port.wait_for_health("503 no majority").await;
    let problem = port.status().await.report.problem.unwrap();
    assert!(problem.starts_with("no majority"), "{problem}");

    cluster.start(1).await;
    port.wait_for_health("200 ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_healthy_while_a_leader_is_elected() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.node(0).view().leader.unwrap();
    let led = |node: &usize| cluster.node(*node).identity().0 == leader;
    let old = (0..3).find(led).unwrap();
    let port = Port::of(&cluster, (old + 1) % 3).await;
    cluster.stop(old).await;
    let elected = async {
        loop {
            assert_eq!(port.health().await, "200 ok");
            let now = port.status().await.cluster.unwrap().leader;
            if now.is_some_and(|now| now != leader.to_string()) {
                return;
            }
        }
    };
    timeout(LIMIT, elected).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_tells_the_same_of_the_cluster() {
    let cluster = Cluster::started(3).await;
    let mut told = Vec::new();
    for node in 0..3 {
        let port = Port::of(&cluster, node).await;
        let status = port.status().await;
        let report = status.report;
        assert_eq!((report.problem, report.last_error), (None, None));
        assert!(report.last_delivered > 0);
        told.push(status.cluster.unwrap());
    }
    for member in told.iter_mut().flat_map(|one| &mut one.members) {
        member.report = None;
    }
    for one in &told {
        assert_eq!(one.name, "test");
        assert_eq!(one.leader, told[0].leader);
        assert_eq!(one.members, told[0].members);
    }
    let nodes: BTreeSet<_> = told.iter().map(|one| &one.node).collect();
    let members: BTreeSet<_> = told[0].members.iter().map(|m| &m.node).collect();
    assert_eq!(members, nodes);
    let leaders = told[0].members.iter().filter(|m| m.role == Role::Leader);
    let leaders: Vec<_> = leaders.map(|m| Some(m.node.clone())).collect();
    assert_eq!(leaders, [told[0].leader.clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_tells_what_the_others_say_of_themselves() {
    let mut cluster = Cluster::started(3).await;
    let first = Port::of(&cluster, 0).await;
    let _second = Port::of(&cluster, 1).await;
    let third = Port::of(&cluster, 2).await;
    let gone = cluster.node(2).identity().0.to_string();
    let heard_of = async || {
        let members = first.status().await.cluster.unwrap().members;
        let heard_of = members.into_iter().filter(|member| {
            let report = member.report.as_ref();
            report.is_some_and(|report| report.problem.is_none() && report.client_port == 3306)
        });
        heard_of.map(|member| member.node).collect::<Vec<_>>()
    };
    let all = async { while heard_of().await.len() < 3 {} };
    timeout(LIMIT, all).await.unwrap();
    drop(third);
    cluster.stop(2).await;
    let two = async { while heard_of().await.contains(&gone) {} };
    timeout(LIMIT, two).await.unwrap();
    assert_eq!(heard_of().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_http_port_is_survived() {
    let cluster = Cluster::started(1).await;
    let port = Port::of(&cluster, 0).await;
    let header = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for garbage in ["\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", &header] {
        // The node may close while it is still being written to.
        if let Ok(answer) = port.ask(garbage).await {
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{answer}"
            );
        }
    }
    assert_eq!(port.health().await, "200 ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_the_cluster_and_every_series_from_the_start() {
    let cluster = Cluster::started(3).await;
    let mut leaders = 0;
    for node in 0..3 {
        let port = Port::of(&cluster, node).await;
        let answer = port.ask("GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("application/openmetrics-text"), "{head}");
        assert!(body.ends_with("# EOF\n"), "{body}");
        for line in [
            "trireme_ready 1",
            "trireme_members 3",
            "trireme_sessions 0",
            "trireme_commits_total{outcome=\"conflict\"} 0",
            "trireme_commit_phase_seconds_count{phase=\"order\"} 0",
            "trireme_write_set_bytes_total{direction=\"received\"} 0",
        ] {
            assert!(body.lines().any(|l| l == line), "no {line} in {body}");
        }
        leaders += usize::from(body.contains("trireme_leader 1\n"));
    }
    assert_eq!(leaders, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_page_where_balancers_get_the_health() {
    let cluster = Cluster::started(1).await;
    let port = Port::of(&cluster, 0).await;
    let page = port
        .ask("GET / HTTP/1.0\r\nAccept: text/html,*/*;q=0.8\r\n\r\n")
        .await
        .unwrap();
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    assert!(body.starts_with("<!DOCTYPE html>"), "{body}");
    // The name of a vocabulary, which nobody fetches.
    let fetches = body.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !fetches.contains("http:") && !fetches.contains("https:"),
        "{body}"
    );
    let health = port.ask("GET / HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(health.ends_with("ok\n"), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_obeyed_with_the_token_only() {
    let cluster = Cluster::started(1).await;
    let port = Port::with("http.token = 'secret'", &cluster, 0).await;
    for (request, answer, then) in [
        ("GET /drain", "405", "200 ok"),
        ("POST /drain", "401", "200 ok"),
        ("POST /drain other", "401", "200 ok"),
        ("POST /drain secre", "401", "200 ok"),
        ("POST /stop secret", "404", "200 ok"),
        ("POST /drain secret", "200", "404 drained"),
        ("POST /desync secret", "200", "404 desynced"),
        ("POST /resume", "401", "404 desynced"),
        ("POST /resume secret", "200", "200 ok"),
    ] {
        let (line, token) = match request.split(' ').collect::<Vec<_>>()[..] {
            [method, path, token] => (format!("{method} {path}"), Some(token)),
            _ => (request.to_owned(), None),
        };
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let told = port.ask(&format!("{line} HTTP/1.0\r\n{token}\r\n")).await;
        let told = told.unwrap();
        assert_eq!(told.split(' ').nth(1).unwrap(), answer, "{request}: {told}");
        let health = port.health().await;
        assert!(health.starts_with(then), "{request}: {health}");
    }
    port.orders.give(Duty::Leaving);
    let late = "POST /resume HTTP/1.0\r\nAuthorization: Bearer secret\r\n\r\n";
    let late = port.ask(late).await.unwrap();
    assert!(late.starts_with("HTTP/1.0 409"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_token_takes_no_orders() {
    let cluster = Cluster::started(1).await;
    let port = Port::of(&cluster, 0).await;
    for token in ["", "Authorization: Bearer \r\n"] {
        let request = format!("POST /drain HTTP/1.0\r\n{token}\r\n");
        let told = port.ask(&request).await.unwrap();
        assert!(told.starts_with("HTTP/1.0 403"), "{told}");
        assert_eq!(port.health().await, "200 ok");
    }
}
