//! A good message of each type of Mobility Header, for tests that give them to those who should not believe them.

use core::net::Ipv6Addr;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdate, BindingUpdateFlags,
    Lifetime, MobilityMessage, MobilityOptions, Status, TestAnswer,
};

/// Types 0 to 7 (RFC 6275 §6.1.2 to §6.1.9), without authentication; sequence number 9.
pub(crate) fn messages(home_address: Ipv6Addr) -> Vec<(u8, MobilityMessage)> {
    let options = MobilityOptions::default;
    let acknowledgement = BindingAcknowledgement {
        status: Status::ACCEPTED,
        flags: BindingAcknowledgementFlags::default(),
        sequence: 9,
        lifetime: Lifetime(1),
        options: options(),
    };
    let update = BindingUpdate {
        sequence: 9,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::HOME_REGISTRATION,
        lifetime: Lifetime(0),
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
        (5, update.into()),
        (6, acknowledgement.into()),
        (7, MobilityMessage::BindingError { status, home_address }),
    ]
}

/// The message with what stands for an authentication option behind it, padded; `appended` may be empty.
pub(crate) fn with_option(message: &MobilityMessage, appended: &[u8]) -> Vec<u8> {
    let mut bytes = [&message.emit()[..], appended].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes[1] = (bytes.len() / 8 - 1) as u8;
    bytes
}

/// An authentication option with this SPI and data that nobody has made (RFC 4285 §5).
pub(crate) fn forged_authentication(spi: u32) -> Vec<u8> {
    [&[9, 17, 1][..], &spi.to_be_bytes(), &[0x5a; 12]].concat()
}
