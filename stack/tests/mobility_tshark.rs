//! tshark reads what the Mobility Header code writes. Without tshark on the machine the test says so and passes.

use stack::port::{Medium, PcapWriter};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::option::{
    AddressPrefix, Authentication, GreKey, MobileNodeIdentifier, NonceIndices, Subscription,
};
use stack::wire::mobility::{
    BindingAcknowledgement, BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdate, BindingUpdateFlags,
    CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions, Status, TestAnswer,
};
use std::io::Write;
use std::net::Ipv6Addr;
use std::process::{Command, Stdio};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);

/// All message types, and each option in at least one of them.
fn messages() -> Vec<MobilityMessage> {
    let answer = TestAnswer { nonce_index: 77, cookie: [1; 8], token: [2; 8] };
    let authentication = Some(Authentication { subtype: 1, spi: 0x1234, data: vec![0xab; 12] });
    let update = BindingUpdate {
        sequence: 4711,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
        lifetime: Lifetime(450),
        options: MobilityOptions::default(),
    };
    let with = |options| MobilityMessage::from(BindingUpdate { options, ..update.clone() });
    vec![
        MobilityMessage::BindingRefreshRequest { options: MobilityOptions::default() },
        MobilityMessage::HomeTestInit { cookie: [3; 8] },
        MobilityMessage::CareOfTestInit { cookie: [4; 8] },
        MobilityMessage::HomeTest(answer),
        MobilityMessage::CareOfTest(answer),
        with(MobilityOptions {
            identifier: Some(MobileNodeIdentifier::nai("mt@example.org")),
            message_id: Some(0xe000_0000_8000_0000),
            gre_key: Some(GreKey { key: None }),
            subscriptions: vec![Subscription { group: GROUP, source: Some(AGENT) }],
            authentication: authentication.clone(),
            ..MobilityOptions::default()
        }),
        with(MobilityOptions {
            alternate_care_of_address: Some(CARE_OF),
            nonce_indices: Some(NonceIndices { home: 5, care_of: 6 }),
            binding_authorization_data: Some([0xcd; 12]),
            ..MobilityOptions::default()
        }),
        BindingAcknowledgement {
            status: Status::AUTHENTICATION_FAILED,
            flags: BindingAcknowledgementFlags::default(),
            sequence: 4711,
            lifetime: Lifetime(450),
            options: MobilityOptions {
                binding_refresh_advice: Some(225),
                gre_key: Some(GreKey { key: Some(0xdead_beef) }),
                addresses: vec![AddressPrefix::new_care_of(CARE_OF)],
                subscriptions: vec![Subscription { group: GROUP, source: None }],
                authentication,
                ..MobilityOptions::default()
            },
        }
        .into(),
        MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address: HOME },
    ]
}

/// A capture of bare IPv6 packets.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = PcapWriter::new(&mut file, Medium::Ip, Duration::ZERO).expect("memory takes it");
    for packet in packets {
        writer.write(Instant::ORIGIN, packet).expect("memory takes it");
    }
    file
}

fn tshark(capture: &[u8], arguments: &[&str]) -> Option<String> {
    let child = Command::new("tshark")
        .args(["-r", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("left out: there is no tshark on this machine");
        return None;
    };
    child.stdin.take().expect("stdin is a pipe").write_all(capture).expect("tshark reads");
    let output = child.wait_with_output().expect("tshark ends");
    assert!(output.status.success(), "tshark failed");
    Some(String::from_utf8(output.stdout).expect("tshark writes text"))
}

#[test]
fn tshark_reads_every_message() {
    let packets: Vec<_> = messages()
        .iter()
        .map(|message| {
            let builder = match message {
                MobilityMessage::BindingAcknowledgement(_) => PacketBuilder::new(AGENT, CARE_OF).type2_routing(HOME),
                MobilityMessage::BindingUpdate(_) => PacketBuilder::new(CARE_OF, AGENT).home_address(HOME),
                _ => PacketBuilder::new(CARE_OF, AGENT),
            };
            builder.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT)
        })
        .collect();
    let file = capture(&packets);
    let Some(malformed) = tshark(&file, &["-Y", "_ws.malformed || _ws.expert.severity >= \"Warning\""]) else {
        return;
    };
    assert_eq!(malformed, "", "tshark objects");
    let text = tshark(&file, &["-V"]).expect("tshark is there");
    for expected in [
        "Binding Refresh Request (0)",
        "Home Test Init (1)",
        "Care-of Test Init (2)",
        "Home Test (3)",
        "Care-of Test (4)",
        "Sequence number: 4711",
        "Lifetime: 450 (1800 seconds)",
        "1... .... .... .... = Acknowledge (A) flag: Binding Acknowledgement requested",
        ".... 1... .... .... = MAP Registration Compatibility (M) flag: MAP Registration Compatibility",
        "Mobile Node Identifier: mt@example.org",
        "Mobility SPI: 4660",
        "Alternate care-of address: 2001:db8:2::10",
        "Home nonce index: 5",
        "Care-of nonce index: 6",
        "cdcdcdcdcdcdcdcdcdcdcdcd",
        "GRE Key: 3735928559",
        "Option-Code: 2",
        "[IPv6 Address/Prefix: 2001:db8:2::10/128]",
        "Mobility Option: Unknown (57)",
        "Unknown binding for Home Address destination option (1)",
    ] {
        assert!(text.contains(expected), "tshark does not say {expected:?}:\n{text}");
    }
}
