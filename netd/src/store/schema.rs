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
];

/// The newest version that this program understands.
pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the database to the newest version, each step in a transaction of its own. Returns the version found if it
/// is newer than that.
pub(super) fn migrate(connection: &mut Connection) -> Result<Option<i64>, rusqlite::Error> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known_version() {
        return Ok(Some(found));
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (at, statements) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(statements)?;
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(at + 1).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
