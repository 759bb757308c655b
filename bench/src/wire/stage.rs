//! Where a run happens: four interfaces in two network namespaces, or interfaces that somebody else has made.
//!
//! ```text
//!   generator ---- near  device  far ---- sink
//! ```
//!
//! The namespaces have no names. They belong to this process's threads and descriptors, so that they are gone with it
//! however it ends, and all interfaces with them.

use super::traffic::Links;
use anyhow::{Context, Result, bail, ensure};
use stack::packet::{Batch, Pool};
use stack::port::{PacketPort, Port};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::thread;

/// Octets of the largest packet on all links, so that 1,500 fit with an outer header.
const MTU: &str = "1600";
/// Scheduling priority of what a run needs, where it may be had: other processes shall not have the core in between.
const NICE: i32 = -15;
/// Looks at whether a link is up.
const CARRIER_LOOKS: u32 = 2000;

/// The four interfaces.
pub(crate) struct Stage {
    pub(crate) generator: Interface,
    pub(crate) near: Interface,
    pub(crate) far: Interface,
    pub(crate) sink: Interface,
    /// Where the device is; absent where the interfaces were named.
    device: Option<OwnedFd>,
    preference: Preference,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(super) index: u32,
    link_address: stack::addr::MacAddress,
}

impl Interface {
    fn find(name: &str) -> Result<Self> {
        let found = stack::port::netdevice::get(name)?;
        Ok(Interface { name: name.to_owned(), index: found.index, link_address: found.link_address })
    }
}

impl Stage {
    /// Makes two namespaces: the calling thread is in the one with generator and sink from now on.
    ///
    /// # Errors
    /// Where that is not permitted, with the remedy.
    pub(crate) fn make(preference: Preference) -> Result<Self> {
        enter_new_namespace()?;
        let device = thread::spawn(|| {
            enter_new_namespace()?;
            File::open("/proc/thread-self/ns/net").map(OwnedFd::from).context("/proc/thread-self/ns/net")
        });
        let device = device.join().ok().context("a thread broke off")??;
        let process = std::process::id();
        let name = |letter: char| format!("b{letter}{process}");
        let [generator, near, far, sink] = ['g', 'n', 'f', 's'].map(name);
        let namespace = format!("/proc/{process}/fd/{}", device.as_raw_fd());
        for (outside, outside_address, inside, inside_address) in [
            (&generator, "02:00:00:00:00:01", &near, "02:00:00:00:00:02"),
            (&sink, "02:00:00:00:00:04", &far, "02:00:00:00:00:03"),
        ] {
            let queues = "numtxqueues 1 numrxqueues 1";
            ip(&format!(
                "link add {outside} address {outside_address} mtu {MTU} {queues} type veth peer name {inside} \
                 address {inside_address} mtu {MTU} {queues} netns {namespace}"
            ))?;
            prepare(outside)?;
        }
        let enter = clone(&device)?;
        let inside = [near.clone(), far.clone()];
        let found = on_thread(move || {
            enter_namespace(&enter)?;
            ip("link set lo up")?;
            inside.iter().try_for_each(|name| prepare(name))?;
            inside.iter().map(|name| Interface::find(name)).collect::<Result<Vec<_>>>()
        })?;
        for name in [&generator, &sink] {
            await_carrier(name)?;
        }
        let [near, far] = <[Interface; 2]>::try_from(found).ok().context("two interfaces")?;
        Ok(Stage {
            generator: Interface::find(&generator)?,
            near,
            far,
            sink: Interface::find(&sink)?,
            device: Some(device),
            preference,
        })
    }

    /// Interfaces of this namespace: generator's, device's on that side, device's on the other side, sink's.
    pub(super) fn of_interfaces(names: &[String], preference: Preference) -> Result<Self> {
        let [generator, near, far, sink] = names else {
            bail!("--interfaces takes four names: the generator's, the device's two, the sink's")
        };
        for (index, name) in names.iter().enumerate() {
            ensure!(!names[..index].contains(name), "--interfaces names {name} twice");
            ensure!(is_up(name)?, "interface {name} is not up or has no carrier: `ip link set {name} up`");
        }
        Ok(Stage {
            generator: Interface::find(generator)?,
            near: Interface::find(near)?,
            far: Interface::find(far)?,
            sink: Interface::find(sink)?,
            device: None,
            preference,
        })
    }

    /// Whether the device has a namespace of its own, in which a kernel can be told to forward.
    pub(super) fn is_made(&self) -> bool {
        self.device.is_some()
    }

    pub(super) fn links(&self) -> Links {
        Links {
            generator: self.generator.link_address,
            near: self.near.link_address,
            far: self.far.link_address,
            sink: self.sink.link_address,
        }
    }

    /// What takes a thread to the device's namespace.
    pub(super) fn door(&self) -> Result<Door> {
        Ok(Door { namespace: self.device.as_ref().map(clone).transpose()?, preference: self.preference })
    }
}

/// The way into the device's namespace.
pub(super) struct Door {
    namespace: Option<OwnedFd>,
    pub(super) preference: Preference,
}

impl Door {
    /// The calling thread is there from now on.
    pub(super) fn enter(&self) -> Result<()> {
        self.namespace.as_ref().map_or(Ok(()), enter_namespace)
    }

    /// The calling thread is there from now on, and goes before others.
    pub(super) fn enter_preferred(&self) -> Result<()> {
        self.preference.give(0);
        self.enter()
    }
}

/// Runs something on a thread of its own, which ends with it.
pub(crate) fn on_thread<T: Send + 'static>(what: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    thread::spawn(what).join().ok().context("a thread broke off")?
}

/// Which threads of a run have a core before other processes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preference {
    /// By the nice value.
    Nice,
    /// By the real-time class. Others are left what the kernel keeps for them, a twentieth as a rule.
    RealTime,
}

impl Preference {
    /// Has a thread, by its number or as 0 the calling one, go before others; where that is not permitted, it does not.
    pub(crate) fn give(self, thread: u32) {
        match self {
            // SAFETY: no pointer is passed.
            Preference::Nice => unsafe {
                libc::setpriority(libc::PRIO_PROCESS, thread, NICE);
            },
            Preference::RealTime => {
                // SAFETY: all zeros is valid; musl has more fields than a priority.
                let mut parameters: libc::sched_param = unsafe { core::mem::zeroed() };
                parameters.sched_priority = 1;
                // SAFETY: the parameters are only read.
                unsafe { libc::sched_setscheduler(thread as i32, libc::SCHED_FIFO, &parameters) };
            }
        }
    }
}

/// Leaves to a thread, by its number or as 0 the calling one, these cores and no others.
pub(crate) fn confine(thread: u32, cores: &[usize]) -> Result<()> {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    for &core in cores {
        ensure!(core < libc::CPU_SETSIZE as usize, "core {core} is beyond what the system takes");
        // SAFETY: the set is large enough for `core`.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set is of the size given and is only read.
    let result = unsafe { libc::sched_setaffinity(thread as i32, size_of::<libc::cpu_set_t>(), &set) };
    ensure!(result == 0, "core {cores:?} cannot be had: {}", io::Error::last_os_error());
    Ok(())
}

/// Sends frames one by one.
///
/// # Errors
/// Where one is not taken at once.
pub(crate) fn transmit(port: &mut PacketPort, pool: &Pool, frames: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
    for frame in frames {
        let packet = pool.copy_of(&frame).ok().context("no frame is free")?;
        let mut batch: Batch = [packet].into_iter().collect();
        port.tx_batch(&mut batch);
        ensure!(batch.is_empty(), "{} takes no frame", port.info().name);
    }
    Ok(())
}

/// Runs `ip` in the calling thread's namespace.
pub(crate) fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("the program ip is needed (Debian: apt install iproute2)")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Sets a value of the calling thread's namespace.
pub(super) fn sysctl(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value).with_context(|| format!("setting net/{name} to {value}"))
}

/// Makes an interface ready for a port, and takes it up.
pub(crate) fn prepare(name: &str) -> Result<()> {
    ip(&format!("link set {name} addrgenmode none"))?;
    stack::port::netdevice::no_transmit_checksum_offload(name)?;
    ip(&format!("link set {name} up"))?;
    // Only now does it tell its peer.
    stack::port::netdevice::receive_in_batches(name)?;
    Ok(())
}

/// Waits until an interface has a carrier.
pub(crate) fn await_carrier(name: &str) -> Result<()> {
    for _ in 0..CARRIER_LOOKS {
        if is_up(name)? {
            return Ok(());
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
    bail!("interface {name} has no carrier")
}

fn is_up(name: &str) -> Result<bool> {
    Ok(stack::port::netdevice::get(name)?.link == stack::port::LinkState::Up)
}

/// The calling thread is in a network namespace of its own from now on, which ends with the last that is in it.
pub(crate) fn enter_new_namespace() -> Result<()> {
    // SAFETY: no pointer is passed; only this thread moves to the new namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
        let error = io::Error::last_os_error();
        bail!(
            "a network namespace is not to be had ({error}): run as root, or grant CAP_SYS_ADMIN, CAP_NET_ADMIN, \
             CAP_NET_RAW and CAP_BPF"
        );
    }
    Ok(())
}

fn enter_namespace(namespace: &OwnedFd) -> Result<()> {
    // SAFETY: no pointer is passed; only this thread moves.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    ensure!(result == 0, "entering the device's namespace: {}", io::Error::last_os_error());
    Ok(())
}

fn clone(descriptor: &OwnedFd) -> Result<OwnedFd> {
    descriptor.try_clone().context("a descriptor")
}
