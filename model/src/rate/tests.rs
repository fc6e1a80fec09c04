//! Rates as they are read, kept in bounds, and written.

use super::*;

#[test]
fn rates_and_bursts_are_read_as_tc_reads_them() {
    for (text, bits) in [
        ("8000", 8_000),
        ("8000bit", 8_000),
        ("64kbit", 64_000),
        ("10MBit", 10_000_000),
        ("2gbit", 2_000_000_000),
        ("1tbit", 1_000_000_000_000),
    ] {
        assert_eq!(parse_rate(text), Ok(bits), "{text}");
    }
    for (text, bytes) in [
        ("1600", 1600),
        ("1600b", 1600),
        ("64kb", 65536),
        ("2M", 2 << 20),
        ("1gb", 1 << 30),
    ] {
        assert_eq!(parse_burst(text), Ok(bytes), "{text}");
    }
    for text in [
        "",
        "mbit",
        "10mb",
        "1.5mbit",
        "-1mbit",
        "10 mbit",
        "99999999999tbit",
    ] {
        assert!(parse_rate(text).is_err(), "{text}");
    }
    for text in ["", "kb", "64kbit", "99999999999gb"] {
        assert!(parse_burst(text).is_err(), "{text}");
    }
}

#[test]
fn a_rate_without_a_burst_has_one_that_lasts_a_twentieth_of_a_second() {
    let burst = |rate| Rate::new(rate, None).unwrap().burst_bytes();
    assert_eq!(burst(80_000_000), 500_000);
    assert_eq!(burst(1_000), 16 * 1024, "TCP's first flight");
    assert_eq!(burst(MAX_BITS_PER_SECOND), u32::MAX);
}

#[test]
fn what_cannot_be_kept_is_refused_with_what_can() {
    let new = |rate, burst| Rate::new(rate, burst).unwrap_err().to_string();
    assert_eq!(
        new(999, None),
        "a rate of 999 bits per second cannot be kept: give 1kbit to 1000tbit, or none for no limit"
    );
    assert!(new(MAX_BITS_PER_SECOND + 1, None).contains("1000tbit"));
    assert_eq!(
        new(8_000, Some(1 << 32)),
        "a burst of 4294967296 bytes is too large: the kernel counts up to 4294967295"
    );
    let small = Rate::new(8_000, Some(1513)).unwrap();
    assert_eq!(small.check(1499), Ok(()));
    assert!(
        small
            .check(1500)
            .unwrap_err()
            .to_string()
            .contains("give 1514 at least")
    );
    let alone = Rate::given(Some(0), Some(7)).unwrap_err();
    assert_eq!(alone, RateError::BurstAlone { burst_bytes: 7 });
    assert_eq!(Rate::given(Some(0), None), Ok(None));
    assert_eq!(Rate::given(None, Some(0)), Ok(None));
}

#[test]
fn rates_are_written_and_read_back_as_they_are() {
    let rates = Rates {
        inward: Some(Rate::new(10_000_000, Some(65536)).unwrap()),
        outward: Some(Rate::new(1_500_000, None).unwrap()),
    };
    assert_eq!(rates.to_string(), "in 10mbit, out 1500kbit");
    let text = serde_json::to_string(&rates).unwrap();
    assert_eq!(
        text,
        r#"{"in":{"bits_per_second":10000000,"burst_bytes":65536},"out":{"bits_per_second":1500000,"burst_bytes":16384}}"#
    );
    assert_eq!(serde_json::from_str::<Rates>(&text).unwrap(), rates);
    let bare: Rates = serde_json::from_str(r#"{"out":{"bits_per_second":1500000}}"#).unwrap();
    assert_eq!(bare.outward, rates.outward);
    assert_eq!(serde_json::to_string(&Rates::default()).unwrap(), "{}");
    assert!(serde_json::from_str::<Rates>(r#"{"in":{"bits_per_second":1}}"#).is_err());
}
