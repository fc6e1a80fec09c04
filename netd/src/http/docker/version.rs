//! Versions of Docker's interface: which are spoken, and what a client of another is told.

use std::fmt;

use super::problem::Problem;

/// A version that a client asks for, within what is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: u32,
    minor: u32,
}

impl ApiVersion {
    /// The newest that is spoken.
    pub(super) const NEWEST: Self = Self::new(1, 51);
    /// The same as text.
    pub(super) const NEWEST_TEXT: &'static str = "1.51";
    /// The oldest: that of Docker 1.0, years before there were networks.
    pub(super) const OLDEST: Self = Self::new(1, 12);
    /// The first that has errors in JSON.
    pub(super) const JSON_ERRORS: Self = Self::new(1, 24);
    /// The first whose list of networks leaves out the containers.
    pub(super) const LISTS_WITHOUT_CONTAINERS: Self = Self::new(1, 28);
    /// The first in which a client can leave open whether a network has IPv6.
    pub(super) const IPV6_LEFT_OPEN: Self = Self::new(1, 47);

    /// A version by its two numbers.
    pub(super) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads what stands behind the `v` of a path; `None` if that is no version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| part.parse::<u32>().ok());
        let major = numbers.next()??;
        let minor = numbers.next().unwrap_or(Some(0))?;
        match numbers.next() {
            Some(_) => None,
            None => Some(Self { major, minor }),
        }
    }

    /// Refuses a version that is not spoken.
    ///
    /// # Errors
    /// [`Problem`] with Docker's sentence, from which clients learn what to do.
    pub(super) fn check(self) -> Result<(), Problem> {
        if self < Self::OLDEST {
            let oldest = Self::OLDEST;
            return Err(Problem::bad(format!(
                "client version {self} is too old. Minimum supported API version is {oldest}, please upgrade your client to a newer version"
            )));
        }
        if self > Self::NEWEST {
            let newest = Self::NEWEST;
            return Err(Problem::bad(format!(
                "client version {self} is too new. Maximum supported API version is {newest}"
            )));
        }
        Ok(())
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_not_by_text() {
        for spoken in ["1.12", "1.24", "1.41", "1.51"] {
            let version = ApiVersion::parse(spoken).unwrap();
            assert_eq!(version.to_string(), spoken);
            assert_eq!(version.check(), Ok(()));
        }
        for (wrong, says) in [
            ("1.9", "too old"),
            ("1", "too old"),
            ("0.99", "too old"),
            ("1.52", "too new"),
            ("1.100", "too new"),
            ("2.0", "too new"),
        ] {
            let problem = ApiVersion::parse(wrong).unwrap().check().unwrap_err();
            assert!(problem.message().contains(says), "{wrong}: {problem:?}");
        }
        for none in ["1.", "1..2", "1.2.3", "1.x", "99999999999.1"] {
            assert!(ApiVersion::parse(none).is_none(), "{none}");
        }
        assert_eq!(ApiVersion::NEWEST.to_string(), ApiVersion::NEWEST_TEXT);
    }
}
