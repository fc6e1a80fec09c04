//! The table of host ports, by which no port can be had twice. It is a constraint and nothing else: what is published
//! is read from the endpoints' records, so neighbouring ports share a row.

use std::collections::BTreeSet;

use netd_model::PublishedPort;
use rusqlite::{Transaction, params};

use super::StoreError;

/// A row but for its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    protocol: String,
    host_ip: String,
    first: u16,
    last: u16,
}

/// Makes the rows of an endpoint those of its record. Mostly they are already: an attach writes its endpoint twice.
pub(super) fn put(
    transaction: &Transaction<'_>,
    endpoint: &str,
    ports: &[PublishedPort],
) -> Result<(), StoreError> {
    let wanted = rows(ports);
    let there: BTreeSet<Row> = transaction
        .prepare_cached("SELECT protocol, host_ip, first, last FROM port WHERE endpoint = ?1")?
        .query_map([endpoint], |row| {
            Ok(Row {
                protocol: row.get(0)?,
                host_ip: row.get(1)?,
                first: row.get(2)?,
                last: row.get(3)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let mut delete = transaction.prepare_cached(
        "DELETE FROM port WHERE protocol = ?1 AND first = ?2 AND host_ip = ?3 AND endpoint = ?4",
    )?;
    let kept: BTreeSet<&Row> = wanted.iter().collect();
    for row in there.iter().filter(|row| !kept.contains(row)) {
        delete.execute(params![row.protocol, row.first, row.host_ip, endpoint])?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO port (protocol, host_ip, first, last, endpoint) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for row in wanted.iter().filter(|row| !there.contains(row)) {
        insert.execute(params![
            row.protocol,
            row.host_ip,
            row.first,
            row.last,
            endpoint
        ])?;
    }
    Ok(())
}

/// The rows of ports, neighbours together. Ports that overlap keep rows of their own, so that the table refuses them.
fn rows(ports: &[PublishedPort]) -> Vec<Row> {
    let mut ports: Vec<_> = ports
        .iter()
        .map(|port| (port.protocol, port.host_ip, port.host_ports))
        .collect();
    ports.sort_unstable();
    let mut rows: Vec<Row> = Vec::new();
    let mut before = None;
    for (protocol, host_ip, numbers) in ports {
        match rows.last_mut() {
            Some(row)
                if before == Some((protocol, host_ip))
                    && u32::from(row.last) + 1 == u32::from(numbers.first()) =>
            {
                row.last = numbers.last();
            }
            _ => rows.push(Row {
                protocol: protocol.to_string(),
                host_ip: host_ip.to_string(),
                first: numbers.first(),
                last: numbers.last(),
            }),
        }
        before = Some((protocol, host_ip));
    }
    rows
}

#[cfg(test)]
mod tests {
    use netd_model::{PortRange, Protocol};

    use super::*;

    fn port(host_ip: [u8; 4], first: u16, last: u16) -> PublishedPort {
        PublishedPort {
            protocol: Protocol::Tcp,
            host_ip: host_ip.into(),
            host_ports: PortRange::new(first, last).unwrap(),
            container_ports: PortRange::new(first, last).unwrap(),
            from: Vec::new(),
        }
    }

    #[test]
    fn neighbours_share_a_row_and_overlaps_do_not() {
        let (all, local) = ([0, 0, 0, 0], [127, 0, 0, 1]);
        let spans = |ports: &[PublishedPort]| {
            let rows = rows(ports).into_iter();
            rows.map(|row| (row.host_ip, row.first, row.last))
                .collect::<Vec<_>>()
        };
        let of = |host_ip: &str, first, last| (host_ip.to_owned(), first, last);
        assert_eq!(
            spans(&[
                port(all, 12, 12),
                port(all, 10, 11),
                port(all, 13, 65_535),
                port(all, 1, 1)
            ]),
            [of("0.0.0.0", 1, 1), of("0.0.0.0", 10, 65_535)]
        );
        assert_eq!(
            spans(&[port(all, 10, 10), port(local, 11, 11)]),
            [of("0.0.0.0", 10, 10), of("127.0.0.1", 11, 11)]
        );
        assert_eq!(
            spans(&[port(all, 10, 12), port(all, 12, 13), port(all, 12, 12)]).len(),
            3
        );
    }
}
