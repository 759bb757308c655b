//! Network namespaces for tests.

use std::io::{self, Write};
use std::process::Command;
use std::sync::Once;

/// Runs `test` in a thread with a network namespace of its own, which is gone with the thread, however that ends. Where
/// that is not permitted the test is left out, and one line for all of them says so; it fails with `DROVER_REQUIRE_NETNS=1`.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let result = std::thread::spawn(move || {
        // SAFETY: no pointer is passed; only this thread moves to the new namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
            let error = io::Error::last_os_error();
            assert!(
                std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
                "network namespaces are required (DROVER_REQUIRE_NETNS=1) and not to be had: {error}"
            );
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                let line =
                    "left out, as they need root: the tests of ports in network namespaces (af_xdp, af_packet, tun)\n";
                let _ = io::stderr().write_all(line.as_bytes());
            });
            return;
        }
        run("ip", &["link", "set", "lo", "up"]);
        test();
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program in this thread's namespace; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    output(program, arguments);
}

/// What a program prints in this thread's namespace; it must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the kernel has noted the carrier of an interface, which it does by and by: what is sent before is lost.
pub(crate) fn await_carrier(name: &str) {
    comes(|| output("ip", &["link", "show", name]).contains("state UP"));
}

/// Asks until it is so. A descriptor that was closed lives on for as long as a program that another test is starting has
/// not let go of its copy.
#[track_caller]
pub(crate) fn comes(so: impl Fn() -> bool) {
    assert!((0..10_000).any(|_| so()));
}
