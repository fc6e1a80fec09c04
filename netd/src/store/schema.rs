//! Tables of the store and their history. A version, once released, is never edited: a later one changes it.

use rusqlite::Connection;

/// Statements that lead from each version to the next; the database's `user_version` counts them.
const MIGRATIONS: &[&str] = &[
    // 1: bodies are JSON of the model's types; what must be unique stands in columns of its own.
    "CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE container (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE endpoint (
         id TEXT PRIMARY KEY,
         network TEXT NOT NULL REFERENCES network (id),
         container TEXT NOT NULL REFERENCES container (id),
         body TEXT NOT NULL,
         UNIQUE (container, network)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX endpoint_of_network ON endpoint (network);
     CREATE TABLE lease (
         network TEXT NOT NULL,
         address TEXT NOT NULL,
         endpoint TEXT NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
         PRIMARY KEY (network, address)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX lease_of_endpoint ON lease (endpoint);
     CREATE TABLE port (
         protocol TEXT NOT NULL,
         host_ip TEXT NOT NULL,
         first INTEGER NOT NULL CHECK (first BETWEEN 1 AND 65535),
         last INTEGER NOT NULL CHECK (last BETWEEN first AND 65535),
         endpoint TEXT NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
         PRIMARY KEY (protocol, first, host_ip)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX port_of_endpoint ON port (endpoint);
     -- A range overlaps without being equal, and 0.0.0.0 takes every address: no UNIQUE says that.
     CREATE TRIGGER port_is_free BEFORE INSERT ON port
     WHEN EXISTS (
         SELECT 1 FROM port WHERE protocol = NEW.protocol AND first <= NEW.last AND last >= NEW.first
             AND (host_ip LIKE '%:%') = (NEW.host_ip LIKE '%:%')
             AND (host_ip = NEW.host_ip OR host_ip IN ('0.0.0.0', '::') OR NEW.host_ip IN ('0.0.0.0', '::'))
     )
     BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: port is published already'); END;
     CREATE TABLE reservation (
         network TEXT NOT NULL REFERENCES network (id) ON DELETE CASCADE,
         address TEXT NOT NULL,
         container TEXT NOT NULL,
         firm INTEGER NOT NULL,
         PRIMARY KEY (network, address)
     ) STRICT, WITHOUT ROWID;",
    // 2: networks that may talk to each other.
    "CREATE TABLE allowance (
         a TEXT NOT NULL REFERENCES network (id) ON DELETE CASCADE,
         b TEXT NOT NULL REFERENCES network (id) ON DELETE CASCADE,
         PRIMARY KEY (a, b),
         CHECK (a < b)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX allowance_of_b ON allowance (b);",
    // 3: routes to containers of other hosts, by subnet.
    "CREATE TABLE peer_route (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    // 4: cards of the host on networks, by name.
    "CREATE TABLE uplink (
         id TEXT PRIMARY KEY,
         network TEXT NOT NULL REFERENCES network (id) ON DELETE CASCADE,
         body TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX uplink_of_network ON uplink (network);",
    // 5: whether a port is free is found by its number, without a look at all that are lower: what begins within the
    // wanted numbers, and the ranges that begin before them, of which there are few.
    "DROP TRIGGER port_is_free;
     CREATE INDEX port_range ON port (protocol, first, last) WHERE last > first;
     CREATE TRIGGER port_is_free BEFORE INSERT ON port
     WHEN EXISTS (
         SELECT 1 FROM port WHERE protocol = NEW.protocol AND first BETWEEN NEW.first AND NEW.last
             AND (instr(host_ip, ':') > 0) = (instr(NEW.host_ip, ':') > 0)
             AND (host_ip = NEW.host_ip OR host_ip IN ('0.0.0.0', '::') OR NEW.host_ip IN ('0.0.0.0', '::'))
     ) OR EXISTS (
         SELECT 1 FROM port WHERE last > first AND protocol = NEW.protocol AND first < NEW.first AND last >= NEW.first
             AND (instr(host_ip, ':') > 0) = (instr(NEW.host_ip, ':') > 0)
             AND (host_ip = NEW.host_ip OR host_ip IN ('0.0.0.0', '::') OR NEW.host_ip IN ('0.0.0.0', '::'))
     )
     BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: port is published already'); END;",
    // 6: neighbouring ports share a row, so there are many short ranges. One that begins before the wanted numbers is
    // looked for no further down than it could begin; of long ones there is room for a thousand on an address.
    "DROP TRIGGER port_is_free;
     DROP INDEX port_range;
     CREATE INDEX port_range ON port (protocol, first, last) WHERE last > first AND last - first < 64;
     CREATE INDEX port_long_range ON port (protocol, first, last) WHERE last - first >= 64;
     CREATE TRIGGER port_is_free BEFORE INSERT ON port
     WHEN EXISTS (
         SELECT 1 FROM port WHERE protocol = NEW.protocol AND first BETWEEN NEW.first AND NEW.last
             AND (instr(host_ip, ':') > 0) = (instr(NEW.host_ip, ':') > 0)
             AND (host_ip = NEW.host_ip OR host_ip IN ('0.0.0.0', '::') OR NEW.host_ip IN ('0.0.0.0', '::'))
     ) OR EXISTS (
         SELECT 1 FROM port WHERE last > first AND last - first < 64 AND protocol = NEW.protocol
             AND first BETWEEN NEW.first - 63 AND NEW.first - 1 AND last >= NEW.first
             AND (instr(host_ip, ':') > 0) = (instr(NEW.host_ip, ':') > 0)
             AND (host_ip = NEW.host_ip OR host_ip IN ('0.0.0.0', '::') OR NEW.host_ip IN ('0.0.0.0', '::'))
     ) OR EXISTS (
         SELECT 1 FROM port WHERE last - first >= 64 AND protocol = NEW.protocol AND first < NEW.first AND last >= NEW.first
             AND (instr(host_ip, ':') > 0) = (instr(NEW.host_ip, ':') > 0)
             AND (host_ip = NEW.host_ip OR host_ip IN ('0.0.0.0', '::') OR NEW.host_ip IN ('0.0.0.0', '::'))
     )
     BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: port is published already'); END;",
    // 7: what Docker's engines asked for by the plugin protocol. Pools overlap nothing but the network that has the same
    // subnet, so an address is held once, whatever pool it is of.
    "CREATE TABLE docker_pool (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE docker_address (
         address TEXT PRIMARY KEY,
         pool TEXT NOT NULL REFERENCES docker_pool (id) ON DELETE CASCADE
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX docker_address_of_pool ON docker_address (pool);
     CREATE TABLE docker_network (
         id TEXT PRIMARY KEY,
         network TEXT NOT NULL REFERENCES network (id) ON DELETE CASCADE,
         body TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX docker_network_of_network ON docker_network (network);",
    // 8: a container is on a network as often as it has interfaces there. SQLite takes no constraint off a table, so it is
    // made anew. An address is kept for the interface that had it.
    "CREATE TABLE endpoint_8 (
         id TEXT PRIMARY KEY,
         network TEXT NOT NULL REFERENCES network (id),
         container TEXT NOT NULL REFERENCES container (id),
         interface TEXT,
         body TEXT NOT NULL,
         UNIQUE (container, interface)
     ) STRICT, WITHOUT ROWID;
     INSERT INTO endpoint_8 SELECT id, network, container, json_extract(body, '$.interface.inside'), body FROM endpoint;
     DROP TABLE endpoint;
     ALTER TABLE endpoint_8 RENAME TO endpoint;
     CREATE INDEX endpoint_of_network ON endpoint (network);
     CREATE UNIQUE INDEX endpoint_without_interface ON endpoint (container, network) WHERE interface IS NULL;
     ALTER TABLE reservation ADD COLUMN interface TEXT;",
    // 9: an endpoint may have limits. They stand in its body, so no table changes; but a netd that does not know them would
    // lift them without a word, and is kept from this store by its version.
    "",
];

/// The newest version that this program understands.
pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the database to the newest version, each step in a transaction of its own. Returns the version found if it
/// is newer than that.
///
/// Foreign keys rest meanwhile: to drop a table that is made anew would delete what refers to its rows (SQLite, "Making
/// Other Kinds Of Table Schema Changes" in lang_altertable). Each step is looked at as a whole instead.
pub(super) fn migrate(connection: &mut Connection) -> Result<Option<i64>, rusqlite::Error> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known_version() {
        return Ok(Some(found));
    }
    let enforced: bool = connection.query_row("PRAGMA foreign_keys", [], |row| row.get(0))?;
    connection.pragma_update(None, "foreign_keys", false)?;
    let migrated = advance(connection, usize::try_from(found).unwrap_or(0));
    connection.pragma_update(None, "foreign_keys", enforced)?;
    migrated.map(|()| None)
}

fn advance(connection: &mut Connection, done: usize) -> Result<(), rusqlite::Error> {
    for (at, statements) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(statements)?;
        let astray: i64 =
            transaction.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
                row.get(0)
            })?;
        if astray > 0 {
            let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY);
            let reason = format!("{astray} rows refer to what is not there");
            return Err(rusqlite::Error::SqliteFailure(refused, Some(reason)));
        }
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(at + 1).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with an endpoint that has these ports: address, first and last number.
    fn with_ports(ports: &[(&str, u16, u16)]) -> Connection {
        let mut store = Connection::open_in_memory().unwrap();
        assert_eq!(migrate(&mut store).unwrap(), None);
        store
            .execute_batch(
                "INSERT INTO network VALUES ('n', 'n', '');
                 INSERT INTO container VALUES ('c', 'c', '');
                 INSERT INTO endpoint VALUES ('e', 'n', 'c', 'eth0', '');",
            )
            .unwrap();
        for port in ports {
            put_port(&store, *port).unwrap();
        }
        store
    }

    fn put_port(
        store: &Connection,
        (host_ip, first, last): (&str, u16, u16),
    ) -> rusqlite::Result<usize> {
        store
            .prepare_cached("INSERT INTO port VALUES ('tcp', ?1, ?2, ?3, 'e')")?
            .execute(rusqlite::params![host_ip, first, last])
    }

    #[test]
    fn no_port_is_published_twice_wherever_ranges_begin() {
        let all = ["0.0.0.0", "192.0.2.1", "127.0.0.1", "::", "fd00::1"];
        let ranges = [(10, 10), (10, 14), (10, 73), (10, 74)];
        for (there, (first, last)) in all.into_iter().flat_map(|ip| ranges.map(|r| (ip, r))) {
            let store = with_ports(&[(there, first, last), ("0.0.0.0", 1, 4)]);
            for new in all {
                let same_family = there.contains(':') == new.contains(':');
                let unspecified = |ip: &str| matches!(ip, "0.0.0.0" | "::");
                let meet = same_family && (there == new || unspecified(there) || unspecified(new));
                for (from, to) in [
                    (10, 10),
                    (8, 10),
                    (8, 20),
                    (12, 12),
                    (14, 15),
                    (9, 9),
                    (15, 18),
                    (5, 9),
                    (73, 73),
                    (74, 74),
                    (75, 75),
                    (5, 100),
                ] {
                    let overlap = from <= last && first <= to;
                    // Taken back again, so that each is tried beside the same ports.
                    store.execute_batch("SAVEPOINT trial").unwrap();
                    let refused = put_port(&store, (new, from, to)).is_err();
                    store
                        .execute_batch("ROLLBACK TO trial; RELEASE trial")
                        .unwrap();
                    assert_eq!(
                        refused,
                        meet && overlap,
                        "{new} {from}-{to} beside {there} {first}-{last}"
                    );
                }
            }
        }
    }

    #[test]
    fn whether_a_port_is_free_does_not_take_longer_beside_many() {
        let steps = |(count, width): (u16, u16)| {
            let ports: Vec<_> = (0..count)
                .map(|n| 1000 + 2 * width * n)
                .map(|first| ("0.0.0.0", first, first + width - 1))
                .collect();
            let store = with_ports(&ports);
            let mut insert = store
                .prepare("INSERT INTO port VALUES ('tcp', '0.0.0.0', 60001, 60001, 'e')")
                .unwrap();
            insert.execute([]).unwrap();
            insert.get_status(rusqlite::StatementStatus::VmStep)
        };
        let alone = steps((0, 1));
        for (count, width) in [(10_000, 1), (1000, 10)] {
            let beside_many = steps((count, width));
            assert!(
                beside_many <= alone * 2,
                "{alone} steps, {beside_many} beside {count} of {width}"
            );
        }
    }

    #[test]
    fn a_store_of_the_first_version_keeps_its_networks_and_learns_of_pairs() {
        let mut store = Connection::open_in_memory().unwrap();
        store.pragma_update(None, "foreign_keys", true).unwrap();
        store.execute_batch(MIGRATIONS[0]).unwrap();
        store.pragma_update(None, "user_version", 1).unwrap();
        store
            .execute_batch(
                "INSERT INTO network VALUES ('1', 'one', ''), ('2', 'two', ''), ('3', 'three', '')",
            )
            .unwrap();
        assert_eq!(migrate(&mut store).unwrap(), None);
        let count = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            store.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count("network"), 3);
        assert_eq!(count("peer_route"), 0);
        let put = |a: &str, b: &str| store.execute("INSERT INTO allowance VALUES (?1, ?2)", [a, b]);
        put("1", "2").unwrap();
        put("2", "3").unwrap();
        for (a, b) in [("3", "2"), ("1", "1"), ("1", "9"), ("1", "2")] {
            assert!(put(a, b).is_err(), "{a} {b}");
        }
        store
            .execute("DELETE FROM network WHERE id = '2'", [])
            .unwrap();
        assert_eq!(count("allowance"), 0);
    }
    #[test]
    fn a_store_of_the_seventh_version_keeps_its_endpoints_and_takes_further_ones() {
        let mut store = Connection::open_in_memory().unwrap();
        store.pragma_update(None, "foreign_keys", true).unwrap();
        advance_to(&mut store, 7);
        store
            .execute_batch(
                r#"INSERT INTO network VALUES ('n', 'n', ''), ('m', 'm', '');
                   INSERT INTO container VALUES ('c', 'c', ''), ('d', 'd', '');
                   INSERT INTO endpoint VALUES ('e', 'n', 'c', '{"interface":{"inside":"eth0"}}'),
                                               ('f', 'm', 'd', '{"interface":null}');
                   INSERT INTO lease VALUES ('n', '10.0.0.2', 'e');
                   INSERT INTO port VALUES ('tcp', '0.0.0.0', 80, 81, 'e');
                   INSERT INTO reservation VALUES ('n', '10.0.0.3', 'c', 1);"#,
            )
            .unwrap();
        assert_eq!(migrate(&mut store).unwrap(), None);
        let count = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            store.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let kept = ["endpoint", "lease", "port", "reservation"].map(count);
        assert_eq!(kept, [2, 1, 1, 1]);
        let enforced: bool = store
            .query_row("PRAGMA foreign_keys", [], |row| row.get(0))
            .unwrap();
        assert!(enforced);
        let put = |id: &str, network: &str, container: &str, interface: Option<&str>| {
            let sql = "INSERT INTO endpoint VALUES (?1, ?2, ?3, ?4, '')";
            store.execute(sql, rusqlite::params![id, network, container, interface])
        };
        put("g", "n", "c", Some("net1")).unwrap();
        put("h", "m", "c", Some("net2")).unwrap();
        assert!(put("i", "n", "c", Some("eth0")).is_err());
        assert!(put("i", "m", "c", Some("net1")).is_err());
        assert!(put("i", "m", "d", None).is_err());
        assert!(put("i", "unknown", "d", Some("eth0")).is_err());
        store
            .execute("DELETE FROM endpoint WHERE id = 'e'", [])
            .unwrap();
        assert_eq!([count("lease"), count("port")], [0, 0]);
    }

    #[test]
    fn an_endpoint_of_the_eighth_version_has_no_limits() {
        let mut store = Connection::open_in_memory().unwrap();
        advance_to(&mut store, 8);
        let id = "ab".repeat(32);
        let body = format!(
            r#"{{"id": "{id}", "network": "{id}", "container": "{id}", "rank": 0, "interface": null, "leases": [],
                 "ports": [], "aliases": [], "gateway_priority": 0, "phase": "attached"}}"#
        );
        store
            .execute_batch(
                "INSERT INTO network VALUES ('n', 'n', '');
                 INSERT INTO container VALUES ('c', 'c', '');",
            )
            .unwrap();
        let put = "INSERT INTO endpoint VALUES ('e', 'n', 'c', NULL, ?1)";
        store.execute(put, [&body]).unwrap();
        assert_eq!(migrate(&mut store).unwrap(), None);
        let version = "PRAGMA user_version";
        let version: i64 = store.query_row(version, [], |row| row.get(0)).unwrap();
        // What would lift limits without a word, since it knows none, does not open it any more.
        assert!(version >= 9, "{version}");
        let kept = "SELECT body FROM endpoint";
        let kept: String = store.query_row(kept, [], |row| row.get(0)).unwrap();
        let endpoint: netd_model::Endpoint = serde_json::from_str(&kept).unwrap();
        assert!(endpoint.rates.is_unlimited());
        assert_eq!(serde_json::to_value(&endpoint).unwrap().get("rates"), None);
    }

    /// A store as the version of that number had it.
    fn advance_to(store: &mut Connection, version: usize) {
        for statements in &MIGRATIONS[..version] {
            store.execute_batch(statements).unwrap();
        }
        let number = i64::try_from(version).unwrap();
        store.pragma_update(None, "user_version", number).unwrap();
    }
}
