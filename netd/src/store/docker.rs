//! What Docker's engines asked for, as it stands in the store.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use netd_model::Subnet;
use rusqlite::{Connection, Transaction, params};

use super::sqlite::{body, corrupt};
use super::{DockerChange, StoreError};

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

/// Makes one change.
pub(super) fn write(
    transaction: &Transaction<'_>,
    change: &DockerChange,
) -> Result<(), StoreError> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), StoreError> {
        transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    };
    match change {
        DockerChange::PutPool(pool) => run(
            "INSERT INTO docker_pool (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2",
            params![pool.subnet.to_string(), body(pool)?],
        ),
        DockerChange::RemovePool(subnet) => run(
            "DELETE FROM docker_pool WHERE id = ?1",
            params![subnet.to_string()],
        ),
        DockerChange::Hold(pool, address) => run(
            "INSERT INTO docker_address (address, pool) VALUES (?1, ?2)",
            params![address.to_string(), pool.to_string()],
        ),
        DockerChange::LetGo(address) => run(
            "DELETE FROM docker_address WHERE address = ?1",
            params![address.to_string()],
        ),
        DockerChange::PutNetwork(network) => run(
            "INSERT INTO docker_network (id, network, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET network = ?2, body = ?3",
            params![
                network.id.to_string(),
                network.network.to_string(),
                body(network)?
            ],
        ),
        DockerChange::RemoveNetwork(id) => run(
            "DELETE FROM docker_network WHERE id = ?1",
            params![id.to_string()],
        ),
    }
}
