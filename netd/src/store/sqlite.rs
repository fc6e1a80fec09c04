//! The journal in SQLite: WAL and synchronous=NORMAL, so that the end of the process loses nothing (a power cut may
//! lose the last moments, and ends the containers anyway).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use netd_model::{Endpoint, IfName, InstanceId, NetworkPair};
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Change, Journal, Reservation, Snapshot, StoreError, docker, ports, schema};

/// The journal in a SQLite database, `netd.db` in the data root.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    _lock: Flock<File>,
}

impl Sqlite {
    /// Opens the store in `data_root`, makes it if need be, and keeps other daemons out.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be used, another daemon has it, or its content is not understood.
    pub fn open(data_root: &Path) -> Result<Self, StoreError> {
        let directory = |source| StoreError::Directory {
            path: data_root.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_root)
            .map_err(directory)?;
        let lock = lock(data_root)?;
        let path = data_root.join("netd.db");
        // Command lines and labels are in there: for root only, also in a directory that others may read. SQLite gives
        // the files beside it the same mode.
        private(&path).map_err(directory)?;
        let mut connection = Connection::open(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(32);
        if let Some(found) = schema::migrate(&mut connection)? {
            return Err(StoreError::TooNew {
                path,
                found,
                known: schema::known_version(),
            });
        }
        Ok(Self {
            connection,
            _lock: lock,
        })
    }

    fn instance(&self) -> Result<InstanceId, StoreError> {
        let known: Option<String> = fact(&self.connection, "instance")?;
        if let Some(text) = known {
            return text.parse().map_err(|error| corrupt("fact", error));
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| corrupt("fact", error))?;
        let instance = InstanceId::from_bytes(bytes);
        put_fact(&self.connection, "instance", &instance.to_string())?;
        Ok(instance)
    }
}

/// Makes sure that the file is there and closed to others.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// The lock is the file's, not the process's: it goes with the process, however it ends.
fn lock(data_root: &Path) -> Result<Flock<File>, StoreError> {
    let path = data_root.join("netd.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| StoreError::Directory {
            path: data_root.to_owned(),
            source,
        })?;
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // For the error message of the next one only: a failure to write it costs nothing else.
            let _ = lock
                .set_len(0)
                .and_then(|()| lock.rewind())
                .and_then(|()| write!(lock, "pid {}", std::process::id()));
            Ok(lock)
        }
        Err(_) => Err(StoreError::InUse {
            path: data_root.to_owned(),
            holder,
        }),
    }
}

pub(super) fn corrupt(kind: &'static str, reason: impl ToString) -> StoreError {
    StoreError::Corrupt {
        kind,
        reason: reason.to_string(),
    }
}

fn fact(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let value = connection.query_row("SELECT value FROM fact WHERE key = ?1", [key], |row| {
        row.get(0)
    });
    Ok(value.optional()?)
}

fn put_fact(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO fact (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute([key, value])?;
    Ok(())
}

fn bodies<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(&format!("SELECT body FROM {table} ORDER BY id"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|body| serde_json::from_str(&body?).map_err(|error| corrupt(table, error)))
        .collect()
}

fn allowances(connection: &Connection) -> Result<Vec<NetworkPair>, StoreError> {
    let mut statement = connection.prepare("SELECT a, b FROM allowance")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let network = |text: String| text.parse().map_err(|error| corrupt("allowance", error));
    rows.map(|row| {
        let (a, b) = row?;
        NetworkPair::new(network(a)?, network(b)?)
            .ok_or_else(|| corrupt("allowance", "a network beside itself"))
    })
    .collect()
}

pub(super) fn body<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("value", error))
}

impl Journal for Sqlite {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let instance = self.instance()?;
        let mut statement = self
            .connection
            .prepare("SELECT network, address, container, interface, firm FROM reservation")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, bool>(4)?,
            ))
        })?;
        let reservations = rows.map(|row| {
            let (network, address, container, interface, firm) = row?;
            Ok(Reservation {
                network: network
                    .parse()
                    .map_err(|error| corrupt("reservation", error))?,
                address: address
                    .parse()
                    .map_err(|error| corrupt("reservation", error))?,
                container: container
                    .parse()
                    .map_err(|error| corrupt("reservation", error))?,
                interface: interface
                    .map(|name| name.parse())
                    .transpose()
                    .map_err(|error| corrupt("reservation", error))?,
                firm,
            })
        });
        Ok(Snapshot {
            instance,
            networks: bodies(&self.connection, "network")?,
            containers: bodies(&self.connection, "container")?,
            endpoints: bodies(&self.connection, "endpoint")?,
            reservations: reservations.collect::<Result<_, StoreError>>()?,
            allowances: allowances(&self.connection)?,
            routes: bodies(&self.connection, "peer_route")?,
            uplinks: bodies(&self.connection, "uplink")?,
            docker_pools: bodies(&self.connection, "docker_pool")?,
            docker_addresses: docker::addresses(&self.connection)?,
            docker_networks: bodies(&self.connection, "docker_network")?,
            forwarding_turned_on: fact(&self.connection, "forwarding_turned_on")?,
            boot: fact(&self.connection, "boot")?,
            ipv6_forwarding_turned_on: fact(&self.connection, "ipv6_forwarding_turned_on")?,
        })
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for change in changes {
            write(&transaction, change)?;
        }
        Ok(transaction.commit()?)
    }
}

fn write(transaction: &Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), StoreError> {
        transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    };
    match change {
        Change::PutNetwork(network) => run(
            "INSERT INTO network (id, name, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = ?2, body = ?3",
            params![
                network.id.to_string(),
                network.name.as_str(),
                body(network)?
            ],
        ),
        Change::RemoveNetwork(id) => {
            run("DELETE FROM network WHERE id = ?1", params![id.to_string()])
        }
        Change::PutContainer(container) => run(
            "INSERT INTO container (id, name, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = ?2, body = ?3",
            params![
                container.id.to_string(),
                container.name.as_str(),
                body(container)?
            ],
        ),
        Change::RemoveContainer(id) => run(
            "DELETE FROM container WHERE id = ?1",
            params![id.to_string()],
        ),
        Change::PutEndpoint(endpoint) => put_endpoint(transaction, endpoint),
        Change::RemoveEndpoint(id) => run(
            "DELETE FROM endpoint WHERE id = ?1",
            params![id.to_string()],
        ),
        Change::PutReservation(reservation) => run(
            "INSERT INTO reservation (network, address, container, firm, interface) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (network, address) DO UPDATE SET container = ?3, firm = ?4, interface = ?5",
            params![
                reservation.network.to_string(),
                reservation.address.to_string(),
                reservation.container.as_str(),
                reservation.firm,
                reservation.interface.as_ref().map(IfName::as_str)
            ],
        ),
        Change::RemoveReservations(network, container) => run(
            "DELETE FROM reservation WHERE network = ?1 AND container = ?2",
            params![network.to_string(), container.as_str()],
        ),
        Change::RemoveReservationsFor(network, container, interface) => run(
            "DELETE FROM reservation WHERE network = ?1 AND container = ?2 AND (interface IS ?3 OR interface IS NULL)",
            params![
                network.to_string(),
                container.as_str(),
                interface.as_ref().map(IfName::as_str)
            ],
        ),
        // The lower id stands first, in a pair as in the table: hexadecimal digits are ordered as the bytes are.
        Change::Allow(pair) => run(
            "INSERT INTO allowance (a, b) VALUES (?1, ?2) ON CONFLICT (a, b) DO NOTHING",
            params![pair.first().to_string(), pair.second().to_string()],
        ),
        Change::Deny(pair) => run(
            "DELETE FROM allowance WHERE a = ?1 AND b = ?2",
            params![pair.first().to_string(), pair.second().to_string()],
        ),
        Change::PutRoute(route) => run(
            "INSERT INTO peer_route (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2",
            params![route.subnet.to_string(), body(route)?],
        ),
        Change::RemoveRoute(subnet) => run(
            "DELETE FROM peer_route WHERE id = ?1",
            params![subnet.to_string()],
        ),
        Change::PutUplink(uplink) => run(
            "INSERT INTO uplink (id, network, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET network = ?2, body = ?3",
            params![
                uplink.device.as_str(),
                uplink.network.to_string(),
                body(uplink)?
            ],
        ),
        Change::RemoveUplink(device) => {
            run("DELETE FROM uplink WHERE id = ?1", params![device.as_str()])
        }
        Change::Docker(change) => docker::write(transaction, change),
        Change::ForwardingTurnedOn(place) => put_fact(transaction, "forwarding_turned_on", place),
        Change::Booted(boot) => put_fact(transaction, "boot", boot),
        Change::Ipv6ForwardingTurnedOn(place) => {
            put_fact(transaction, "ipv6_forwarding_turned_on", place)
        }
    }
}

fn put_endpoint(transaction: &Transaction<'_>, endpoint: &Endpoint) -> Result<(), StoreError> {
    let id = endpoint.id.to_string();
    transaction
        .prepare_cached(
            "INSERT INTO endpoint (id, network, container, interface, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET interface = ?4, body = ?5",
        )?
        .execute(params![
            id,
            endpoint.network.to_string(),
            endpoint.container.to_string(),
            endpoint.interface.as_ref().map(|own| own.inside.as_str()),
            body(endpoint)?
        ])?;
    put_leases(transaction, &id, endpoint)?;
    ports::put(transaction, &id, &endpoint.ports)
}

/// Makes the rows those of the record. Mostly they are already: an attach writes its endpoint twice.
fn put_leases(
    transaction: &Transaction<'_>,
    id: &str,
    endpoint: &Endpoint,
) -> Result<(), StoreError> {
    let wanted: BTreeSet<String> = endpoint
        .leases
        .iter()
        .map(|lease| lease.address.to_string())
        .collect();
    let there: BTreeSet<String> = transaction
        .prepare_cached("SELECT address FROM lease WHERE endpoint = ?1")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if wanted == there {
        return Ok(());
    }
    transaction
        .prepare_cached("DELETE FROM lease WHERE endpoint = ?1")?
        .execute([id])?;
    let network = endpoint.network.to_string();
    let mut insert = transaction
        .prepare_cached("INSERT INTO lease (network, address, endpoint) VALUES (?1, ?2, ?3)")?;
    for address in &wanted {
        insert.execute([network.as_str(), address, id])?;
    }
    Ok(())
}
