//! H4 packets, as controllers, sniffers and the monitor channel deliver them, up to what the
//! advertisements in them say.
#![no_main]

use grelot::pipeline::advert::identifiers;
use grelot::sources::chains::Chains;
use grelot::sources::hci;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let mut chains = Chains::default();
    for report in hci::h4_reports(packet).flatten() {
        assert!(report.payload.len() <= packet.len());
        if let Some(whole) = chains.join(0, std::time::Duration::ZERO, report) {
            identifiers(whole.payload).for_each(drop);
        }
    }
});
