//! Points in time as Docker's clients write them: seconds since 1970, RFC 3339, or how long ago.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::problem::Problem;

/// Reads a point in time.
///
/// # Errors
/// [`Problem`] when it is none of the forms.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).map(|time| time.timestamp());
    let ago = || -> Option<Timestamp> {
        let span: SignedDuration = text.parse().ok()?;
        now.checked_sub(span).ok()
    };
    seconds(text)
        .or_else(|| text.parse::<Timestamp>().ok())
        .or_else(ago)
        .or_else(|| text.parse::<DateTime>().and_then(utc).ok())
        .or_else(|| {
            let day = text.parse::<Date>().ok()?;
            utc(day.to_datetime(jiff::civil::Time::midnight())).ok()
        })
        .ok_or_else(|| {
            Problem::bad(format!(
                "failed to parse value as time or duration: {text:?}; give one such as 1700000000, \
                 2026-01-02T15:04:05Z or 10m"
            ))
        })
}

/// `SECONDS` or `SECONDS.FRACTION`, the fraction of up to nine digits.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_understood() {
        let now: Timestamp = "2026-01-02T15:04:05Z".parse().unwrap();
        for (text, means) in [
            ("0", "1970-01-01T00:00:00Z"),
            ("1767366245", "2026-01-02T15:04:05Z"),
            ("1767366245.5", "2026-01-02T15:04:05.5Z"),
            ("1767366245.000000007", "2026-01-02T15:04:05.000000007Z"),
            ("2026-01-02T17:04:05+02:00", "2026-01-02T15:04:05Z"),
            ("2026-01-02T15:04:05", "2026-01-02T15:04:05Z"),
            ("2026-01-02", "2026-01-02T00:00:00Z"),
            ("10m", "2026-01-02T14:54:05Z"),
            ("1h30m", "2026-01-02T13:34:05Z"),
        ] {
            let means: Timestamp = means.parse().unwrap();
            assert_eq!(parse(text, now), Ok(means), "{text}");
        }
        for bad in ["", "soon", "1.x", "1.0000000001", "99999999999999999999"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}
