//! The laboratory ends a test by a panic when something goes wrong; here that is one lane's failure, and the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow};

/// Does `work`; a panic is an error.
///
/// # Errors
/// Its own error, or what it said when it panicked.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|said| {
        let text = said
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| said.downcast_ref::<&str>().copied());
        Err(anyhow!("{}", text.unwrap_or("it broke off")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let error = guard::<()>(|| panic!("it took {} s", 3)).unwrap_err();
        assert_eq!(error.to_string(), "it took 3 s");
        assert_eq!(guard(|| Ok(7)).unwrap(), 7);
        assert!(guard::<()>(|| Err(anyhow!("no"))).is_err());
    }
}
