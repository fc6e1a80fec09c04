//! What the daemon says of itself: `/_ping`, `/version`, `/info`.

use std::collections::BTreeMap;

use axum::extract::State as Shared;
use axum::http::Method;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use axum::response::IntoResponse;
use nix::sys::sysinfo::sysinfo;
use nix::sys::utsname::uname;

use super::problem::Problem;
use super::version::ApiVersion;
use super::wire::system::{
    AddressPool, Component, FirewallBackend, Info, Platform, Plugins, Swarm, Version,
};
use crate::http::routes::App;

const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether the daemon answers, and by the headers that all answers have, which versions it speaks.
pub(super) async fn ping(method: Method) -> impl IntoResponse {
    let body = if method == Method::HEAD { "" } else { "OK" };
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (PRAGMA, "no-cache"),
    ];
    ([("swarm", "inactive")], headers, body)
}

pub(super) async fn version() -> axum::Json<Version> {
    let kernel = Machine::look().kernel;
    let details = [
        ("ApiVersion", ApiVersion::NEWEST.to_string()),
        ("MinAPIVersion", ApiVersion::OLDEST.to_string()),
        ("Os", "linux".to_owned()),
        ("Arch", architecture().to_owned()),
        ("KernelVersion", kernel.clone()),
    ];
    axum::Json(Version {
        platform: Platform { name: "netd" },
        components: vec![Component {
            name: "Engine",
            version: OWN_VERSION,
            details: BTreeMap::from(details),
        }],
        version: OWN_VERSION,
        api_version: ApiVersion::NEWEST.to_string(),
        min_api_version: ApiVersion::OLDEST.to_string(),
        git_commit: "",
        go_version: "",
        os: "linux",
        arch: architecture(),
        kernel_version: kernel,
    })
}

pub(super) async fn info(Shared(app): Shared<App>) -> Result<axum::Json<Info>, Problem> {
    let status = app.engine.status().await?;
    let id = app
        .engine
        .look(|state| state.instance().to_string())
        .await?;
    let settings = app.engine.settings();
    let machine = Machine::look();
    let pool = |pool: &netd_ipam::DefaultPool| AddressPool {
        base: pool.base.to_string(),
        size: pool.size,
    };
    Ok(axum::Json(Info {
        id,
        containers: status.containers_running + status.containers_exited,
        containers_running: status.containers_running,
        containers_paused: 0,
        containers_stopped: status.containers_exited,
        images: 0,
        driver: "none",
        driver_status: vec![
            ["Networks".to_owned(), status.networks.to_string()],
            ["Endpoints".to_owned(), status.endpoints.to_string()],
            ["Published ports".to_owned(), status.ports.to_string()],
        ],
        plugins: Plugins {
            volume: Vec::new(),
            network: vec!["bridge", "host", "null"],
            log: Vec::new(),
        },
        ipv4_forwarding: settings.ip_forward,
        debug: settings.log_level >= tracing::Level::DEBUG,
        system_time: jiff::Timestamp::now().to_string(),
        kernel_version: machine.kernel,
        operating_system: "Linux".to_owned(),
        os_type: "linux",
        architecture: machine.architecture,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        mem_total: machine.memory_bytes,
        docker_root_dir: settings.data_root.display().to_string(),
        name: machine.name,
        labels: Vec::new(),
        experimental_build: false,
        server_version: OWN_VERSION,
        live_restore_enabled: true,
        default_address_pools: settings.pools.iter().map(pool).collect(),
        firewall_backend: FirewallBackend {
            driver: status.firewall,
        },
        swarm: Swarm {
            local_node_state: "inactive",
        },
        warnings: [status.problems, status.warnings].concat(),
    }))
}

/// What the kernel says of the machine.
struct Machine {
    name: String,
    kernel: String,
    architecture: String,
    memory_bytes: u64,
}

impl Machine {
    fn look() -> Self {
        let names = uname().ok();
        let text = |text: Option<&std::ffi::OsStr>| {
            text.map(|text| text.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let names = names.as_ref();
        Self {
            name: text(names.map(|names| names.nodename())),
            kernel: text(names.map(|names| names.release())),
            architecture: text(names.map(|names| names.machine())),
            memory_bytes: sysinfo().map_or(0, |system| system.ram_total()),
        }
    }
}

/// The processor's architecture in Go's words, which clients compare.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
