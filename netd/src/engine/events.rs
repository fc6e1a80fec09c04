//! What happens, told to whoever listens. A slow listener misses events and is told so; nobody waits for it.

use std::collections::BTreeMap;

use netd_api::Event;
use tokio::sync::broadcast;

/// How many events a listener may be behind.
const BACKLOG: usize = 1024;

/// The announcer.
#[derive(Clone, Debug)]
pub(super) struct Events {
    listeners: broadcast::Sender<Event>,
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            listeners: broadcast::channel(BACKLOG).0,
        }
    }

    /// Everything from now on.
    #[must_use]
    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.listeners.subscribe()
    }

    /// Tells that `action` happened to the `kind` of that id and name.
    pub(super) fn tell(
        &self,
        kind: &str,
        action: &str,
        subject: (String, String),
        attributes: &[(&str, String)],
    ) {
        let (id, name) = subject;
        let attributes: BTreeMap<String, String> = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        tracing::info!(kind, action, id = %id.get(..12).unwrap_or(&id), name, ?attributes, "event");
        let time = jiff::Timestamp::now().to_string();
        let event = Event {
            time,
            kind: kind.to_owned(),
            action: action.to_owned(),
            id,
            name,
            attributes,
        };
        // An error says that nobody listens.
        let _ = self.listeners.send(event);
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}
