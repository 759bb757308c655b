//! From the raw text form to [`NodeConfig`]: every bound and every cross-reference is checked here, once.

mod association;
mod correspondent;
mod group;
mod kernel;
mod mesh;
mod mobility;
mod ports;
mod rendezvous;
mod routing;
pub(crate) mod section;
mod workers;

pub(crate) use ports::interface_address;

use super::document::{Fault, Tables};
use super::raw::{Field, RawNode, RawNodeFile, RawTunnelDscp};
use super::resolved::{AccessRouterConfig, NodeConfig, PortConfig, WorkersConfig};
use core::net::{Ipv6Addr, SocketAddr};
use section::{Section, in_range, name, routable, span_of};
use stack::pipeline::{MssClamp, TunnelDscp};
use std::path::Path;
use toml::Spanned;

/// Where a node's tables stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In a file of their own: ports are attached to interfaces.
    NodeFile,
    /// In a lab file: ports are attached to links.
    LabFile,
}

/// What the readers of a node's tables share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'c> {
    /// Relative paths of key files start here.
    pub(crate) directory: &'c Path,
    /// Where the tables stand.
    pub(crate) place: Place,
}

/// Takes a node's tables out of a document; refuses the others.
pub(crate) fn raw_node_file(mut tables: Tables<'_, '_>) -> RawNodeFile {
    let raw = RawNodeFile {
        node: tables.one("node"),
        port: tables.many("port"),
        route: tables.many("route"),
        kernel: tables.one("kernel"),
        admin: tables.one("admin"),
        metrics: tables.one("metrics"),
        router: tables.one("router"),
        access_router: tables.one("access_router"),
        mma: tables.one("mma"),
        home_agent: tables.one("home_agent"),
        mobile_terminal: tables.one("mobile_terminal"),
        correspondent_node: tables.one("correspondent_node"),
    };
    tables.refuse_rest();
    raw
}

/// Judges a node's tables. `None` where something is wrong, which is then noted in the root's source.
pub(crate) fn node(root: &Section<'_, '_>, raw: &RawNodeFile, context: Context<'_>) -> Option<NodeConfig> {
    let general = general(root, &raw.node);
    let advertised: Vec<&str> = access_port_names(raw);
    let ports = ports::ports(root, &raw.port, &advertised, context.place);
    // Roles refer to ports: without them every reference would be reported as wrong.
    let ports = ports?;
    let General { name: node_name, workers, seed, frames, state_dir, loopback, tunnel_dscp, mss_clamp } = general?;
    ports::addresses_are_unique(root, raw, &ports, &loopback)?;

    let routes = ports::routes(root, &raw.route, &ports);
    let raw_terminal = raw.mobile_terminal.is_some();
    let kernel = optional(root, "kernel", &raw.kernel, |section, raw| {
        kernel::kernel(section, raw, &ports, raw_terminal, context.place)
    });
    let admin_socket = match &raw.admin {
        Some(table) => {
            let section = root.inner("admin", table.span());
            let remedy = "give the path of a Unix socket as socket = \"/run/drover/NAME.sock\"";
            section.required("socket", &table.get_ref().socket, remedy, |text| socket_path(text)).map(Some)
        }
        None => Some(None),
    };
    let metrics = optional(root, "metrics", &raw.metrics, |section, raw| {
        let remedy = "give where they are served as listen = \"[::1]:9464\"";
        section.required("listen", &raw.listen, remedy, |text| listen_address(text))
    });

    let mma = optional(root, "mma", &raw.mma, |section, raw| {
        mobility::mobility_agent(section, raw, &ports, &loopback, context.directory)
    });
    let mobility_range = mma.as_ref().and_then(|mma| mma.as_ref()).map(|mma| mma.group_layout.range());
    let mobility_range = mobility_range.unwrap_or_else(|| group::DEFAULT.range());
    let router = optional(root, "router", &raw.router, |section, raw| {
        routing::router(section, raw, &ports, &loopback, &advertised, mobility_range)
    });
    let immediate_leave =
        router.as_ref().and_then(|router| router.as_ref()).map_or(mobility_range, |router| router.mobility_range);
    let on_ports = ports.iter().flat_map(|port| port.addresses.iter().map(|own| own.address));
    let own: Vec<Ipv6Addr> = on_ports.chain(loopback.iter().copied()).collect();
    let access_router = optional(root, "access_router", &raw.access_router, |section, raw| {
        let access = routing::access_router(section, raw, &ports, router.iter().flatten().next(), immediate_leave);
        let mesh =
            optional(section, "mesh", &raw.mesh, |section, raw| mesh::mesh(section, raw, &own, context.directory));
        Some(AccessRouterConfig { mesh: mesh?, ..access? })
    });
    let home_agent = optional(root, "home_agent", &raw.home_agent, |section, raw| {
        mobility::home_agent(section, raw, &ports, context.directory)
    });
    let mobile_terminal = optional(root, "mobile_terminal", &raw.mobile_terminal, |section, raw| {
        mobility::mobile_terminal(section, raw, &ports, context.directory)
    });

    let correspondent_node = optional(root, "correspondent_node", &raw.correspondent_node, |section, raw| {
        let mma = mma.iter().flatten().map(|mma| mma.address);
        let agents: Vec<Ipv6Addr> = mma.chain(home_agent.iter().flatten().map(|agent| agent.address)).collect();
        correspondent::correspondent_node(section, raw, &ports, &own, &agents, context.directory)
    });

    roles_fit(root, raw);
    let config = NodeConfig {
        name: node_name,
        workers,
        seed,
        frames,
        tunnel_dscp,
        mss_clamp,
        ports,
        routes: routes?,
        kernel: kernel?,
        loopback,
        state_dir: state_dir.map(|state_dir| context.directory.join(state_dir)),
        admin_socket: admin_socket?,
        metrics: metrics?,
        router: router?,
        access_router: access_router?,
        mma: mma?,
        home_agent: home_agent?,
        mobile_terminal: mobile_terminal?,
        correspondent_node: correspondent_node?,
    };
    workers::forward(root, raw, &config);
    root.source.is_clean().then_some(config)
}

/// An address and port of this host.
fn listen_address(text: &str) -> Result<SocketAddr, Fault> {
    let remedy = "give one as [::1]:9464";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err(Fault::new("there is no port 0", remedy)),
        Ok(address) => Ok(address),
        Err(_) => Err(Fault::new(format!("\"{text}\" is no address with a port"), remedy)),
    }
}

/// What `[node]` says.
struct General {
    name: String,
    workers: WorkersConfig,
    seed: Option<u64>,
    frames: u32,
    state_dir: Option<String>,
    loopback: Vec<Ipv6Addr>,
    tunnel_dscp: TunnelDscp,
    mss_clamp: MssClamp,
}

/// `[node]`
fn general(root: &Section<'_, '_>, raw: &Field<RawNode>) -> Option<General> {
    let Some(table) = raw else {
        return root.missing("node", "begin the file with [node] and name = \"…\" in it");
    };
    let section = root.inner("node", table.span());
    let raw = table.get_ref();
    let node_name = section.required("name", &raw.name, "give the node a name as name = \"core\"", |text| name(text));
    let workers = workers::workers(&section, raw);
    let seed = section.optional("seed", &raw.seed, |&seed| in_range::<u64>(seed, 0..=i64::MAX));
    let frames = section.number("frames", &raw.frames, MIN_FRAMES..=MAX_FRAMES, DEFAULT_FRAMES);
    let state_dir = section.optional("state_dir", &raw.state_dir, |text| match text.as_str() {
        "" => Err(Fault::new("this is no directory", "give one as state_dir = \"/var/lib/drover/NAME\"")),
        path => Ok(path.to_owned()),
    });
    let loopback = section.list("loopback", &raw.loopback, |text| routable(text));
    let tunnel_dscp = match &raw.tunnel_dscp {
        Some(dscp) => tunnel_dscp(&section, dscp),
        None => {
            section.by_default("tunnel_dscp", "inner");
            Some(TunnelDscp::Inner)
        }
    };
    Some(General {
        name: node_name?,
        workers: workers?,
        seed: seed?,
        frames: frames?,
        state_dir: state_dir?,
        loopback: loopback?,
        tunnel_dscp: tunnel_dscp?,
        mss_clamp: if section.flag("clamp_mss", &raw.clamp_mss, false) { MssClamp::PathMtu } else { MssClamp::Off },
    })
}

fn tunnel_dscp(section: &Section<'_, '_>, dscp: &Spanned<RawTunnelDscp>) -> Option<TunnelDscp> {
    let what = match dscp.get_ref() {
        RawTunnelDscp::Word(word) if word == "inner" => return Some(TunnelDscp::Inner),
        RawTunnelDscp::Word(word) if word == "uniform" => return Some(TunnelDscp::Uniform),
        RawTunnelDscp::Word(word) => format!("\"{word}\" is not known"),
        RawTunnelDscp::Number(number) => match u8::try_from(*number) {
            Ok(number) if number < 64 => return Some(TunnelDscp::Fixed(number)),
            _ => format!("{number} is no DSCP"),
        },
    };
    section.fault("tunnel_dscp", dscp.span(), Fault::new(what, "give \"inner\", \"uniform\" or 0 to 63"))
}

/// Frames in a pool: 1 MiB at the least, 4 GiB at the most.
const MIN_FRAMES: i64 = 256;
const MAX_FRAMES: i64 = 1 << 20;
const DEFAULT_FRAMES: u32 = 8192;

/// Checks which roles stand together.
fn roles_fit(root: &Section<'_, '_>, raw: &RawNodeFile) {
    for (key, span) in
        [("mma", raw.mma.as_ref().map(Spanned::span)), ("access_router", raw.access_router.as_ref().map(Spanned::span))]
    {
        if let (Some(span), None) = (span, &raw.router) {
            let what = "this role sends and hears multicast and needs PIM";
            root.fault::<()>(key, span, Fault::new(what, "add a table [router], which may be empty"));
        }
    }
    if raw.mobile_terminal.is_some() {
        for (index, port) in raw.port.iter().enumerate() {
            if let Some(kernel) = &port.get_ref().kernel {
                let fault = Fault::new("a terminal's ports are its own", "remove the key");
                root.fault::<()>(format_args!("port[{index}].kernel"), kernel.span(), fault);
            }
        }
    }
    if let Some(terminal) = &raw.mobile_terminal {
        let others = raw.router.is_some() || raw.mma.is_some() || raw.home_agent.is_some();
        if others || raw.access_router.is_some() || raw.correspondent_node.is_some() {
            let what = "a terminal has no other role";
            let remedy = "give the terminal a file of its own";
            root.fault::<()>("mobile_terminal", terminal.span(), Fault::new(what, remedy));
        }
    }
}

fn access_port_names(raw: &RawNodeFile) -> Vec<&str> {
    let table = raw.access_router.as_ref().map(Spanned::get_ref);
    let ports = table.into_iter().flat_map(|table| table.port.iter());
    ports.filter_map(|port| port.get_ref().name.as_ref().map(|name| name.get_ref().as_str())).collect()
}

fn optional<T, U>(
    root: &Section<'_, '_>,
    key: &str,
    field: &Field<T>,
    read: impl FnOnce(&Section<'_, '_>, &T) -> Option<U>,
) -> Option<Option<U>> {
    match field {
        Some(table) => read(&root.inner(key, table.span()), table.get_ref()).map(Some),
        None => Some(None),
    }
}

fn socket_path(text: &str) -> Result<std::path::PathBuf, Fault> {
    if (1..=MAX_SOCKET_PATH).contains(&text.len()) {
        Ok(text.into())
    } else {
        let what = format!("a path of {} octets is no socket", text.len());
        Err(Fault::new(what, format!("give 1 to {MAX_SOCKET_PATH}")))
    }
}

/// Octets of a Unix socket's path (`sun_path` less the end mark).
const MAX_SOCKET_PATH: usize = 107;

/// Looks a port up by the name in `field`.
fn port_by_name<'p>(
    section: &Section<'_, '_>,
    key: &str,
    field: &Field<String>,
    ports: &'p [PortConfig],
) -> Option<&'p PortConfig> {
    let known = || ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(value) = field else {
        return section.missing(key, &format!("name one of the ports: {}", known()));
    };
    match ports.iter().find(|port| port.name == *value.get_ref()) {
        Some(port) => Some(port),
        None => {
            let what = format!("there is no port \"{}\"", value.get_ref());
            section.fault(key, span_of(section, field), Fault::new(what, format!("name one of the ports: {}", known())))
        }
    }
}
