//! The devices under test, and how each is started and stopped.

use super::appliance::Appliance;
use super::kernel::Kernel;
use super::node;
use super::stage::Stage;
use super::testpmd::{self, Testpmd};
use super::traffic::{Service, Way};
use super::{forwarder, reflector};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::path::Path;

/// A device under test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Device {
    /// An AF_XDP loop that changes link-layer addresses and nothing else: the yardstick
    Reflector,
    /// Drover's worker: unicast forwarding
    Drover,
    /// Drover's worker: home agent's tunnel to the terminal's group
    DroverMma,
    /// Drover's worker: multicast forwarding to one branch
    DroverMulticast,
    /// The appliance's process, `drover run`: unicast forwarding
    Appliance,
    /// The appliance's process as mobility agent: home agent's tunnel to the group of a terminal that has registered
    ApplianceMma,
    /// Linux: IPv6 unicast forwarding
    Kernel,
    /// Linux: multicast forwarding (ip6mr) to one branch
    KernelMulticast,
    /// DPDK's testpmd with its AF_XDP ports, which changes link-layer addresses and nothing else
    Testpmd,
}

/// Where devices run.
pub(super) struct Places<'a> {
    pub(super) stage: &'a Stage,
    pub(super) generator_core: usize,
    pub(super) device_core: usize,
    /// DPDK's program.
    pub(super) testpmd: &'a Path,
    /// The appliance's program.
    pub(super) drover: &'a Path,
}

impl Device {
    /// As on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn service(self) -> Service {
        match self {
            Device::Reflector | Device::Testpmd => Service::Reflect,
            Device::Drover | Device::Appliance | Device::Kernel => Service::Unicast,
            Device::DroverMma | Device::ApplianceMma => Service::Tunnel,
            Device::DroverMulticast | Device::KernelMulticast => Service::Multicast,
        }
    }

    /// The ways that frames go, with both directions at once where that is asked for and means something.
    pub(super) fn ways(self, both: bool) -> &'static [Way] {
        match self.service() {
            Service::Reflect | Service::Unicast if both => &[Way::Forth, Way::Back],
            _ => &[Way::Forth],
        }
    }

    /// Groups with a route each.
    pub(super) fn groups(self) -> u64 {
        u64::from(matches!(self.service(), Service::Multicast | Service::Tunnel))
    }

    /// Why it cannot be had here; none where it can.
    pub(super) fn absence(self, places: &Places<'_>) -> Option<String> {
        let reason = match self {
            Device::Kernel | Device::KernelMulticast if !places.stage.is_made() => {
                Some("it would change how this machine forwards: only without --interfaces")
            }
            Device::Appliance | Device::ApplianceMma if !places.stage.is_made() => {
                Some("it would give this machine addresses: only without --interfaces")
            }
            Device::Appliance | Device::ApplianceMma => return node::absence(places.drover),
            Device::KernelMulticast if !Path::new("/proc/net/ip6_mr_vif").exists() => {
                Some("this kernel has no IPv6 multicast forwarding (CONFIG_IPV6_MROUTE)")
            }
            Device::Testpmd if places.generator_core == places.device_core => {
                Some("its control and its forwarding need a core each")
            }
            Device::Testpmd if testpmd::find(places.testpmd).is_none() => {
                return Some(format!(
                    "{} is not installed (Debian: apt install dpdk-dev), or name it with --testpmd",
                    places.testpmd.display()
                ));
            }
            _ => None,
        };
        reason.map(str::to_owned)
    }

    /// Starts it.
    pub(super) fn start(self, places: &Places<'_>) -> Result<Running> {
        let (stage, core) = (places.stage, places.device_core);
        match self {
            Device::Reflector => reflector::start(stage, core).map(Running::Reflector),
            Device::Drover | Device::DroverMma | Device::DroverMulticast => {
                forwarder::start(self.service(), stage, core).map(Running::Forwarder)
            }
            Device::Appliance | Device::ApplianceMma => {
                Appliance::start(places.drover, self.service(), stage, core).map(Running::Appliance)
            }
            Device::Kernel | Device::KernelMulticast => Kernel::start(self.service(), stage, core).map(Running::Kernel),
            Device::Testpmd => {
                let program = testpmd::find(places.testpmd).context("the program was there before")?;
                Testpmd::start(program, stage, places.generator_core, core).map(Running::Testpmd)
            }
        }
    }
}

/// A device that runs.
pub(super) enum Running {
    Reflector(reflector::Reflector),
    Forwarder(forwarder::Forwarder),
    Appliance(Appliance),
    Kernel(Kernel),
    Testpmd(Testpmd),
}

impl Running {
    /// How it reaches its interfaces.
    pub(super) fn mode(&self) -> &str {
        match self {
            Running::Reflector(reflector) => reflector.mode(),
            Running::Forwarder(forwarder) => forwarder.mode(),
            Running::Appliance(appliance) => appliance.mode(),
            Running::Kernel(_) => "kernel, threaded NAPI on the device's core",
            Running::Testpmd(_) => "net_af_xdp, without huge pages",
        }
    }

    /// Calls of the allocator since it started to work; none where that is not known.
    pub(super) fn allocations(&self) -> Result<Option<u64>> {
        match self {
            Running::Reflector(reflector) => Ok(Some(reflector.allocations())),
            Running::Forwarder(forwarder) => forwarder.allocations().map(Some),
            Running::Appliance(_) | Running::Kernel(_) | Running::Testpmd(_) => Ok(None),
        }
    }

    /// Stops it; its interfaces are free afterwards.
    pub(super) fn stop(self) -> Result<()> {
        match self {
            Running::Reflector(reflector) => reflector.stop(),
            Running::Forwarder(forwarder) => forwarder.stop(),
            Running::Appliance(appliance) => appliance.stop(),
            Running::Kernel(kernel) => kernel.stop(),
            Running::Testpmd(testpmd) => testpmd.stop(),
        }
    }
}
