//! Test messages (RFC 6275 §9.4): what was asked comes back with a token that only who receives it has. Nothing is
//! remembered of who asked.

use super::CorrespondentNode;
use core::net::Ipv6Addr;
use stack::machine::Via;
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::{CHECKSUM_AT, MobilityMessage, TestAnswer};

impl CorrespondentNode {
    /// `home_address` is the source of the message, and where the answer goes whatever is bound (§9.4.3, §6.1).
    pub(super) fn answer_home_test_init(&mut self, now: Instant, home_address: Ipv6Addr, cookie: [u8; 8]) {
        self.counters.rx_home_test_init += 1;
        if !self.may_test(now, home_address) {
            return;
        }
        let nonce = self.nonces.present(now);
        let token = nonce.key.home_token(home_address, &nonce.value);
        let answer = TestAnswer { nonce_index: nonce.index, cookie, token: token.0 };
        self.counters.tx_home_test += 1;
        self.send(home_address, &MobilityMessage::HomeTest(answer));
    }

    /// `care_of` is the source of the message.
    pub(super) fn answer_care_of_test_init(&mut self, now: Instant, care_of: Ipv6Addr, cookie: [u8; 8]) {
        self.counters.rx_care_of_test_init += 1;
        if !self.may_test(now, care_of) {
            return;
        }
        let nonce = self.nonces.present(now);
        let token = nonce.key.care_of_token(care_of, &nonce.value);
        let answer = TestAnswer { nonce_index: nonce.index, cookie, token: token.0 };
        self.counters.tx_care_of_test += 1;
        self.send(care_of, &MobilityMessage::CareOfTest(answer));
    }

    fn may_test(&mut self, now: Instant, source: Ipv6Addr) -> bool {
        let free = self.tests.take(now, source);
        self.counters.drop_test_rate_limit += u64::from(!free);
        free
    }

    fn send(&mut self, destination: Ipv6Addr, message: &MobilityMessage) {
        let builder = PacketBuilder::new(self.config.address, destination);
        self.outputs.transmit(builder.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT), Via::Route);
    }
}
