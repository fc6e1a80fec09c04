//! How long ago something was, in Docker's words. Knows no clock: both times come in.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// The time from `since` to `now` in words, such as `3 minutes`. A clock that was set back counts as no time.
pub(super) fn words(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let minutes = seconds / MINUTE;
    // Docker rounds hours to the nearest, everything else down.
    let hours = (seconds + HOUR / 2) / HOUR;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (seconds, 0, _) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, minutes @ ..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, hours @ ..48) => format!("{hours} hours"),
        (_, _, hours) if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        (_, _, hours) if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        (_, _, hours) if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        (_, _, hours) => format!("{} years", hours / 24 / 365),
    }
}

/// The same for an RFC 3339 text; `None` if it is none.
pub(super) fn words_since(since: &str, now: Timestamp) -> Option<String> {
    since.parse().ok().map(|since| words(since, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_docker_writes_them() {
        let golden = [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (13 * 86400, "13 days"),
            (14 * 86400, "2 weeks"),
            (59 * 86400, "8 weeks"),
            (60 * 86400, "2 months"),
            (729 * 86400, "24 months"),
            (730 * 86400, "2 years"),
        ];
        for (seconds, expected) in golden {
            let now = Timestamp::from_second(1_000_000_000 + seconds).unwrap();
            let since = Timestamp::from_second(1_000_000_000).unwrap();
            assert_eq!(words(since, now), expected, "{seconds} s");
        }
    }

    #[test]
    fn a_text_that_is_no_time_has_no_age() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        assert_eq!(words_since("yesterday", now), None);
        let text = "2001-09-09T01:46:30.123456789Z";
        assert_eq!(words_since(text, now).as_deref(), Some("9 seconds"));
    }
}
