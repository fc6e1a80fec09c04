//! Who may stay connected: a bounded number, of whom the longest idle leaves when somebody new comes.
//!
//! So a client that opens connections and says nothing, or one byte in a minute, keeps nobody out; one whose request is
//! being answered is never sent away. Who only listens to events, or is gone and was told nothing since, leaves when nobody
//! is idle. Knows no HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All places at the table.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    taken: Mutex<Taken>,
    /// Somebody left, or became idle and could leave.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// By the order of their coming.
    guests: BTreeMap<u64, Arc<Guest>>,
}

#[derive(Debug, Default)]
struct Guest {
    answering: AtomicUsize,
    listening: AtomicUsize,
    leave: Notify,
}

impl Guest {
    fn is_answered(&self) -> bool {
        self.answering.load(Ordering::Acquire) != 0
    }

    fn listens(&self) -> bool {
        self.listening.load(Ordering::Acquire) != 0
    }
}

impl Seats {
    /// `limit` places.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, as soon as there is one; asks the eldest idle guest to leave if all are taken, or else the eldest that listens.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        loop {
            // Listened to before looking, so that no change is missed in between.
            let changed = self.changed.notified();
            if let Some(seat) = self.try_take() {
                return seat;
            }
            changed.await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let mut taken = self.taken();
        if taken.guests.len() >= self.limit {
            let guests = taken.guests.values();
            let mut spare = guests.filter(|guest| !guest.is_answered());
            let eldest = spare.clone().find(|guest| !guest.listens());
            if let Some(guest) = eldest.or_else(|| spare.next()) {
                guest.leave.notify_one();
            }
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let guest = Arc::<Guest>::default();
        taken.guests.insert(number, Arc::clone(&guest));
        let seats = Arc::clone(self);
        Some(Seat {
            number,
            guest,
            seats,
        })
    }
}

/// A place that is taken; free when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    guest: Arc<Guest>,
    seats: Arc<Seats>,
}

impl Seat {
    /// Notes that a request is being answered, until the value is dropped.
    pub(super) fn answer(&self) -> Answering {
        self.guest.answering.fetch_add(1, Ordering::AcqRel);
        Answering {
            guest: Arc::clone(&self.guest),
            seats: Arc::clone(&self.seats),
            kind: Kind::Bounded,
        }
    }

    /// Returns when the place is wanted by somebody else and nothing is being answered here.
    pub(super) async fn asked_to_leave(&self) {
        loop {
            self.guest.leave.notified().await;
            if !self.guest.is_answered() {
                return;
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().guests.remove(&self.number);
        self.seats.changed.notify_one();
    }
}

/// A request is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    guest: Arc<Guest>,
    seats: Arc<Seats>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The answer has an end.
    Bounded,
    /// It goes on for as long as something happens.
    Endless,
}

impl Answering {
    /// Notes that the answer has no end.
    pub(super) fn endless(mut self) -> Self {
        self.guest.listening.fetch_add(1, Ordering::AcqRel);
        self.guest.answering.fetch_sub(1, Ordering::AcqRel);
        self.kind = Kind::Endless;
        self.seats.changed.notify_one();
        self
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let count = match self.kind {
            Kind::Bounded => &self.guest.answering,
            Kind::Endless => &self.guest.listening,
        };
        count.fetch_sub(1, Ordering::AcqRel);
        self.seats.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::from_millis(50), future)
            .await
            .ok()
    }

    #[tokio::test]
    async fn the_eldest_idle_guest_leaves_for_a_new_one() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().await, seats.take().await);
        let answering = first.answer();
        let third = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take().await }
        });
        soon(second.asked_to_leave()).await.expect("it is idle");
        assert!(
            soon(first.asked_to_leave()).await.is_none(),
            "it is being answered"
        );
        drop(second);
        let third = soon(third).await.expect("a place is free").unwrap();
        drop((answering, first, third));
        assert!(seats.taken().guests.is_empty());
    }

    #[tokio::test]
    async fn when_all_are_being_answered_the_first_to_become_idle_leaves() {
        let seats = Seats::new(1);
        let only = seats.take().await;
        let answering = only.answer();
        let next = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take().await }
        });
        assert!(soon(only.asked_to_leave()).await.is_none());
        drop(answering);
        soon(only.asked_to_leave()).await.expect("it is idle now");
        drop(only);
        assert!(soon(next).await.is_some());
    }

    #[tokio::test]
    async fn who_only_listens_leaves_when_nobody_is_idle() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().await, seats.take().await);
        let listening = first.answer().endless();
        let next = || {
            let seats = Arc::clone(&seats);
            tokio::spawn(async move { seats.take().await })
        };
        let third = next();
        soon(second.asked_to_leave()).await.expect("it is idle");
        assert!(soon(first.asked_to_leave()).await.is_none(), "it listens");
        drop(second);
        let third = soon(third).await.expect("a place is free").unwrap();
        let answering = third.answer();
        let fourth = next();
        soon(first.asked_to_leave()).await.expect("nobody is idle");
        drop((listening, first));
        assert!(soon(fourth).await.is_some());
        drop((answering, third));
    }
}
