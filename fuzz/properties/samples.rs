//! A good message of each type of Mobility Header, for those who should not believe them: the fuzz targets, and the tests
//! of agents and terminals.

use core::net::Ipv6Addr;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdate, BindingUpdateFlags,
    Lifetime, MobilityMessage, MobilityOptions, Status, TestAnswer,
};

/// Types 0 to 7 (RFC 6275 §6.1.2 to §6.1.9), without authentication; sequence number 200. The Binding Update removes
/// what was registered with the `registration` bit.
pub(crate) fn messages(home_address: Ipv6Addr, registration: BindingUpdateFlags) -> Vec<(u8, MobilityMessage)> {
    let options = MobilityOptions::default;
    let acknowledgement = BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 200,
        lifetime: Lifetime(1),
        options: options(),
    };
    let removal = BindingUpdate {
        sequence: 200,
        flags: BindingUpdateFlags::ACKNOWLEDGE | registration,
        lifetime: Lifetime::ZERO,
        options: options(),
    };
    let status = BindingErrorStatus::UNKNOWN_BINDING;
    let answer = TestAnswer { nonce_index: 1, cookie: [1; 8], token: [1; 8] };
    vec![
        (0, MobilityMessage::BindingRefreshRequest { options: options() }),
        (1, MobilityMessage::HomeTestInit { cookie: [1; 8] }),
        (2, MobilityMessage::CareOfTestInit { cookie: [1; 8] }),
        (3, MobilityMessage::HomeTest(answer)),
        (4, MobilityMessage::CareOfTest(answer)),
        (5, removal.into()),
        (6, acknowledgement.into()),
        (7, MobilityMessage::BindingError { status, home_address }),
    ]
}

/// The ways in which a message is not authentic, and the octets that stand for its authentication then, by an SPI that
/// the receiver `knows`.
pub(crate) fn forgeries(knows: u32) -> [(&'static str, Vec<u8>); 4] {
    [
        ("forged", forged_authentication(knows)),
        ("of a stranger", forged_authentication(999)),
        ("with a reserved SPI", forged_authentication(3)),
        ("bare", Vec::new()),
    ]
}

/// The messages as anybody can send them: those that ought to be signed in each way in which they are not authentic.
pub(crate) fn unsigned(home_address: Ipv6Addr, registration: BindingUpdateFlags, knows: u32) -> Vec<Vec<u8>> {
    let ways = |(_, message): (u8, MobilityMessage)| {
        let is_signed =
            matches!(message, MobilityMessage::BindingUpdate(_) | MobilityMessage::BindingAcknowledgement(_));
        let appended = forgeries(knows).map(|(_, appended)| appended);
        let used = if is_signed { 0..4 } else { 3..4 };
        appended[used].iter().map(|appended| with_option(&message, appended)).collect::<Vec<_>>()
    };
    messages(home_address, registration).into_iter().flat_map(ways).collect()
}

/// An authentication option with this SPI and data that nobody has made (RFC 4285 §5).
fn forged_authentication(spi: u32) -> Vec<u8> {
    [&[9, 17, 1][..], &spi.to_be_bytes(), &[0x5a; 12]].concat()
}

/// The message with what stands for an authentication option behind it, padded; `appended` may be empty.
pub(crate) fn with_option(message: &MobilityMessage, appended: &[u8]) -> Vec<u8> {
    let mut bytes = [&message.emit()[..], appended].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes[1] = (bytes.len() / 8 - 1) as u8;
    bytes
}
