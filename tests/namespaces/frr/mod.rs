//! FRR's routers beside ours, in network namespaces: zebra and pim6d of a Debian 13 that `.ci/frr-root` has put into a
//! directory. The traffic is that of ordinary programs on kernel hosts. docs/interoperability.md lists what is shown.

mod asserts;
mod chains;
mod lans;
mod network;
mod ospf;
mod rendezvous;
mod router;
mod seen;
mod sites;
mod switchover;
mod traffic;

use crate::room::{Shared, shared};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Leave to use namespaces and FRR, beside other tests. `None`: they are not to be had, and a line has said so.
fn shared_with_frr() -> Option<Shared> {
    let shared = shared()?;
    let root = root();
    if root.join("usr/lib/frr/pim6d").exists() {
        return Some(shared);
    }
    let lack = format!("as there is no FRR in {} (as root, `.ci/frr-root` puts it there)", root.display());
    assert!(
        std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
        "FRR is required (DROVER_REQUIRE_NETNS=1) and not to be had, {lack}"
    );
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Past the harness, which would keep it to itself.
        let _ = io::stderr().write_all(format!("left out, {lack}: the tests with FRR's routers\n").as_bytes());
    });
    None
}

/// The directory that holds FRR and what it needs, as `.ci/frr-root` has it.
fn root() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/frr-root");
    std::env::var_os("DROVER_FRR_ROOT").filter(|path| !path.is_empty()).map_or_else(default, PathBuf::from)
}
