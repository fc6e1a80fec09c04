//! The addresses that are held for Docker's engines, as they stand in the store.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use netd_model::Subnet;
use rusqlite::Connection;

use super::StoreError;
use super::sqlite::corrupt;

/// Every address with the pool that it is of.
pub(super) fn addresses(connection: &Connection) -> Result<Vec<(Subnet, IpAddr)>, StoreError> {
    let mut statement = connection.prepare("SELECT pool, address FROM docker_address")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    rows.map(|row| {
        let (pool, address) = row?;
        Ok((parsed(&pool)?, parsed(&address)?))
    })
    .collect()
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, StoreError> {
    text.parse()
        .map_err(|error| corrupt("docker_address", error))
}
