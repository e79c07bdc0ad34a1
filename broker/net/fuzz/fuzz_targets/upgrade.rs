//! Any bytes where an upgrade request should be: no panic, and an answer to every refusal but one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstem_net::tls::name::DistinguishedName;
use mainstem_net::upgrade::{Origin, Refusal, UpgradeRules, parse};

fuzz_target!(|input: (bool, &[u8])| {
    let (over_tls, raw) = input;
    let rules = UpgradeRules {
        compression: true,
        same_origin: true,
        allowed_origins: Origin::parse_allowed("https://a").into_iter().collect(),
        ..UpgradeRules::default()
    };
    for rules in [rules, UpgradeRules::default()] {
        match parse(raw, over_tls, &rules) {
            Ok(None) => {}
            Ok(Some(upgrade)) => assert!(upgrade.response.ends_with(b"\r\n\r\n")),
            Err(refusal) => assert_eq!(refusal.response().is_empty(), refusal == Refusal::EarlyData),
        }
    }
    let Ok(text) = std::str::from_utf8(raw) else { return };
    let _ = Origin::parse(text);
    if let Some(name) = DistinguishedName::parse(text) {
        assert_eq!(DistinguishedName::parse(&name.to_string()).as_ref(), Some(&name));
    }
});
