use std::io;

/// Why a port did not open. One line, with a remedy.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// There is no interface of this name in this network namespace.
    #[error("interface {0} does not exist here: `ip -brief link` lists those that do")]
    NoSuchInterface(String),
    /// The interface is administratively down.
    #[error("interface {0} is down: `ip link set {0} up` takes it up")]
    InterfaceDown(String),
    /// The interface carries no Ethernet frames.
    #[error("interface {0} is not an Ethernet interface: a port needs one that is, or kind = \"tun\"")]
    NotEthernet(String),
    /// The link takes less than every link of IPv6 has to (RFC 8200 §5).
    #[error("interface {name} has an MTU of {mtu}, and IPv6 needs 1280: `ip link set {name} mtu 1280`, or more")]
    NarrowLink {
        /// The interface.
        name: String,
        /// Its MTU, in octets.
        mtu: usize,
    },
    /// The port is shared with a kernel that speaks IPv6 there, although programs of this host have the node's address.
    #[error(
        "the kernel speaks IPv6 on {0} as well, and would answer what the programs behind the TUN device answer: \
         `sysctl -w net.ipv6.conf.{0}.disable_ipv6=1`, or kind = \"af_xdp\""
    )]
    KernelAnswers(String),
    /// Neither native nor generic XDP can be had.
    #[error("interface {name} lacks XDP ({source}): use kind = \"af_packet\" for this port")]
    NoXdp {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another XDP program, or another process's socket, has the interface.
    #[error("interface {0} is taken by another XDP program: stop it, or `ip link set dev {0} xdp off`")]
    Taken(String),
    /// Another worker's port leads on the interface, and has not opened it, or the interface has no queue for this worker.
    #[error(
        "interface {0} has no queue for this worker: the first worker has not opened it, or it has fewer queues now"
    )]
    NotServed(String),
    /// The process may not do this.
    #[error("{what} is not permitted: run as root, or grant {capabilities}")]
    NotPermitted {
        /// What was tried.
        what: String,
        /// Linux capabilities that allow it.
        capabilities: &'static str,
    },
    /// The limit on locked memory is too low for the frames of the pool.
    #[error(
        "{} MiB of frames cannot be locked in memory: raise the limit (`ulimit -l unlimited`, LimitMEMLOCK=infinity), \
         grant CAP_IPC_LOCK, or give the worker fewer frames",
        .octets.div_ceil(1 << 20)
    )]
    LockedMemory {
        /// Octets that have to be locked.
        octets: usize,
    },
    /// The kernel has no TUN driver, or this mount namespace not its device.
    #[error("/dev/net/tun does not exist: `modprobe tun`, or give the container the device")]
    NoTun,
    /// A name that no interface can have.
    #[error("{0:?} cannot be an interface's name: 1 to 15 octets, without a slash or a space")]
    BadName(String),
    /// The device exists and is something else, or another process has it.
    #[error("{0} exists and is not a TUN device that is free: choose another name, or `ip link delete {0}`")]
    TunTaken(String),
    /// A capture file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A system call failed for a reason of its own.
    #[error("port {name}: {call}: {source}")]
    Os {
        /// The interface.
        name: String,
        /// The system call or what it was for.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl PortError {
    /// For mapping the error of `call` on interface `name`.
    pub(super) fn os(name: &str, call: &'static str) -> impl FnOnce(io::Error) -> PortError {
        let name = name.to_owned();
        move |source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => PortError::NotPermitted {
                what: format!("{call} on {name}"),
                capabilities: "CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF",
            },
            Some(libc::ENODEV) => PortError::NoSuchInterface(name),
            Some(libc::ENETDOWN) => PortError::InterfaceDown(name),
            _ => PortError::Os { name, call, source },
        }
    }
}
